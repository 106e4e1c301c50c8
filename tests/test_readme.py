import re
from pathlib import Path

import lipsnn

README = (Path(__file__).parent.parent / "README.md").read_text()
LISTINGS = re.findall(r"```python\n(.*?)```", README, flags=re.S)


def test_it_opens_with_the_two_commands():
    first = re.search(r"```sh\n(.*?)```", README, flags=re.S)
    assert [line.split("#")[0].strip() for line in first[1].strip().splitlines()] == [
        "make book",
        "make test",
    ]


def test_the_listing_runs_and_is_ten_lines(capsys):
    (listing,) = LISTINGS
    assert len(listing.strip().splitlines()) == 10
    scope = {}
    exec(compile(listing, "README.md", "exec"), scope)
    out = capsys.readouterr().out
    before, after = re.search(r"objective ([\d.]+) -> ([\d.]+)", out).groups()
    assert float(after) < float(before)
    assert re.search(r"bound L +[\d.]+ -> [\d.]+", out)
    assert isinstance(scope["result"].net, lipsnn.ShallowNet)


def test_the_table_names_public_calls():
    calls = re.findall(r"^\| `(\w+)\(", README, flags=re.M)
    assert calls
    assert set(calls) <= set(lipsnn.__all__)
