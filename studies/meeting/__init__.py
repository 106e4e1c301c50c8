"""All systems on the same network and data."""
