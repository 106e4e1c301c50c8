import json

import pytest

from studies.common.claims import MEDIA_TYPE, Claims
from studies.common.symbols import typeset


def test_a_claim_that_holds_is_a_row():
    claims = Claims("page")
    claims.check("one", "x is small", "Text, (1)", "|x|", 1e-9, at_most=1e-6)
    claims.check("two", "x is large", "Text, (2)", "|x|", 3.0, at_least=2.0)
    assert claims.table["verdict"].tolist() == ["holds", "holds"]
    bundle = claims._repr_mimebundle_()
    rows = json.loads(bundle[MEDIA_TYPE])
    assert [(row["id"], row["page"], row["holds"]) for row in rows] == [
        ("one", "page", True),
        ("two", "page", True),
    ]
    assert "x is small" in bundle["text/html"]
    assert "≤ 1e-06" in bundle["text/html"]


def test_the_displayed_table_cuts_nothing_short():
    claims = Claims("page")
    statement = "of many words" * 10
    claims.check("one", statement, "Text, (1)", "|x|", 1e-9, at_most=1e-6)
    assert statement in claims._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rho <= kappa_i^2, at least sqrt(pi/2)", "ρ ≤ κ_i², at least √(π/2)"),
        ("G^-2 T, x^20, 10^-12, -pi/2", "G⁻² T, x^20, 10^-12, -π/2"),
        ("the l2 penalty of C-l2; alphabet, mu", "the ℓ₂ penalty of C-l2; alphabet, μ"),
    ],
)
def test_symbols_in_plain_text_are_typeset(text, shown):
    assert typeset(text) == shown
    claims = Claims("page")
    claims.check("one", text, "Text, (1)", text, 0.0, at_most=1.0)
    assert claims._repr_mimebundle_()["text/html"].count(shown) == 2
    assert claims.rows[0].statement == text


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_a_claim_that_fails_stops_the_page_and_stays_on_record(value):
    claims = Claims("page")
    with pytest.raises(AssertionError, match=r"one: x is small.*<= 1e-06"):
        claims.check("one", "x is small", "Text, (1)", "|x|", value, at_most=1e-6)
    assert claims.table["verdict"].tolist() == ["fails"]


def test_bad_claims():
    claims = Claims("page")
    with pytest.raises(ValueError, match="exactly one"):
        claims.check("one", "s", "t", "q", 1.0)
    claims.check("one", "s", "t", "q", 1.0, at_most=2.0)
    with pytest.raises(ValueError, match="used twice"):
        claims.check("one", "s", "t", "q", 1.0, at_most=2.0)
