"""Deep networks and classes: refinement beside descent, at equal time and at equal bound."""
