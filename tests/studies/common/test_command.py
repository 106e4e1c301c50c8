"""Command lines with two profiles: each has results of its own."""

import argparse
from pathlib import Path

import pytest

from studies.clip import regression, stability
from studies.common.command import parse
from studies.letter import mnist, plane
from studies.meeting import study as meeting


class Parsed(Exception):
    pass


@pytest.mark.parametrize("module", [plane, mnist, meeting, regression, stability])
@pytest.mark.parametrize("profile", ["quick", "full"])
def test_each_profile_has_its_own_folder(monkeypatch, module, profile):
    def seen(*arguments, **quick):
        options = parse(*arguments, **quick)
        assert options.output.parts[:2] == ("results", profile)
        assert options.made_by.endswith("--profile quick") == (profile == "quick")
        assert quick
        for name, value in quick.items():
            assert (getattr(options, name) == value) == (profile == "quick")
        raise Parsed

    monkeypatch.setattr(module, "parse", seen)
    with pytest.raises(Parsed):
        module.main(["--profile", profile])


def test_what_is_said_goes_before_the_profile():
    parser = argparse.ArgumentParser(prog="python -m studies.some")
    parser.add_argument("--seeds", type=int, default=5)
    given = ["--profile", "quick", "--seeds", "2", "--output", "here.csv"]
    options = parse(parser, given, "some.csv", seeds=1)
    assert (options.seeds, options.output) == (2, Path("here.csv"))
