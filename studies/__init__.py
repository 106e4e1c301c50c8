"""The research that uses `lipsnn`: one folder a source, each run by `python -m studies.NAME`."""
