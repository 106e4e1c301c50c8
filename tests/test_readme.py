import re
from pathlib import Path

import pytest

import lipsnn

README = (Path(__file__).parent.parent / "README.md").read_text()
NUMBER = r"[\d.]+(?:e[+-]?\d+)?"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)
    return found


def test_its_first_screen_says_what_a_user_gets():
    first = README.split("```python")[0]
    assert len(first.strip().splitlines()) < 16
    assert "training objective, not of the error on new data" in first


def test_it_names_the_two_commands():
    commands = re.findall(r"^(make \w+) ", README, flags=re.M)
    assert commands == ["make book", "make test"]


def test_the_listing_is_ten_lines_and_prints_what_is_shown(capsys):
    listing, shown = block("python"), block("text")
    assert len(listing.strip().splitlines()) == 10
    assert "manual_seed" in listing
    exec(compile(listing, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    # all but the seconds and, between machines, the last digits
    assert re.sub(NUMBER, "", printed) == re.sub(NUMBER, "", shown)
    one, other = ([float(x) for x in re.findall(NUMBER, text)[1:]] for text in (printed, shown))
    assert len(one) == 4
    assert one == pytest.approx(other, rel=1e-3)


def test_its_listing_works_for_a_deep_classifier(capsys):
    listing = block("python")
    (call,) = re.findall(r'`refine\(net, X, y, (bound="own", loss="cross_entropy")\)`', README)
    for one, other in {
        "nn.Linear(50, 1)": "nn.Linear(50, 8), nn.ReLU(), nn.Linear(8, 3)",
        "torch.tensor(data.y_train)[:, None]": "torch.tensor(data.y_train).sign().long() + 1",
        "mse_loss": "cross_entropy",
        "range(1000)": "range(50)",
        'strength=1.0, method="joint"': call,
    }.items():
        assert listing.count(one) == 1
        listing = listing.replace(one, other)
    exec(compile(listing, "README.md", "exec"), {})
    first, loss, bound = capsys.readouterr().out.strip().splitlines()
    assert first.startswith("layers refinement")
    before, after = map(float, re.findall(NUMBER, loss))
    assert after < before
    before, after, _ = map(float, re.findall(NUMBER, bound))
    assert after <= before


def test_the_table_names_public_calls():
    calls = re.findall(r"^\| `(\w+)\(", README, flags=re.M)
    assert calls
    assert set(calls) <= set(lipsnn.__all__)
