"""Parameters: profiles, the command line, and what is refused."""

from __future__ import annotations

import pytest

from book import parameters as params
from book.layout import Layout


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("50", 50),
        ("1e-3", 0.001),
        ("True", True),
        ("None", None),
        ("servo", "servo"),
        ("[1, 2]", [1, 2]),
        ('"7"', "7"),
    ],
)
def test_command_line_values_are_python_literals_or_text(text: str, value: object) -> None:
    assert params.literal(text) == value
    assert type(params.literal(text)) is type(value)


def test_unknown_parameter_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no parameter widht; its parameters are width, rate"):
        params.check("notebooks/x.md", {"widht": 3}, {"width": 1, "rate": 0.5})


def test_notebook_without_parameters_says_so() -> None:
    with pytest.raises(ValueError, match="no cell tagged `parameters`"):
        params.check("notebooks/x.md", {"width": 3}, {})


def test_number_that_yaml_read_as_text_is_refused() -> None:
    with pytest.raises(ValueError, match="rate is a number"):
        params.check("notebooks/x.md", {"rate": "1e-3"}, {"rate": 0.5})


def test_profile_gives_values_by_notebook(tiny) -> None:
    tiny.notebook("one")
    tiny.notebook("two")
    tiny.profile("one: {width: 7}\ntwo:\n")
    assert params.load_profile(tiny.layout, "quick") == {"one": {"width": 7}, "two": {}}


def test_profile_refuses_unknown_notebooks_and_unknown_names(tiny) -> None:
    tiny.notebook("one")
    tiny.profile("onee: {width: 7}")
    with pytest.raises(ValueError, match=r"onee; known are one"):
        params.load_profile(tiny.layout, "quick")
    with pytest.raises(ValueError, match=r"unknown profile 'slow': known are quick"):
        params.load_profile(tiny.layout, "slow")


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_committed_profiles_fit_the_committed_notebooks(profile: str, tmp_path) -> None:
    import jupytext
    import nbformat

    layout = Layout()
    for stem, values in params.load_profile(layout, profile).items():
        converted = tmp_path / f"{stem}.ipynb"
        source = jupytext.read(layout.notebooks / f"{stem}.md", fmt="md:myst")
        nbformat.write(source, converted)
        params.check(stem, values, params.defaults(converted))
