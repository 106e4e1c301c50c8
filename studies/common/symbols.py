"""Symbols in plain text, as readers see them: `lambda <= x^2` is "λ ≤ x²"."""

from __future__ import annotations

import re

_GREEK = {
    name: chr(code)
    for name, code in {
        "alpha": 0x3B1, "beta": 0x3B2, "gamma": 0x3B3, "kappa": 0x3BA, "lambda": 0x3BB,
        "mu": 0x3BC, "pi": 0x3C0, "rho": 0x3C1, "sigma": 0x3C3, "theta": 0x3B8,
    }.items()
}  # fmt: skip
_WRITTEN = {"<=": "≤", ">=": "≥", "sqrt": "√", "^2": "²", "^-1": "⁻¹", "^-2": "⁻²", "l2": "ℓ₂"}
_WRITTEN |= _GREEK
# a word of its own, or before an index; names such as C-l2 stay
_LOOKS = re.compile(
    r"(?<![\w])(?:sqrt|(?<!-)l2|" + "|".join(_GREEK) + r")(?![A-Za-z\d])|[<>]=|\^-?[12](?![\d.])"
)


def typeset(text: str) -> str:
    """The text with its operators, powers and names of Greek letters as single characters."""
    return _LOOKS.sub(lambda match: _WRITTEN.get(match[0], match[0]), text)
