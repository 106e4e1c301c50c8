"""How a computation ended: one word each, with a sentence that says what it means."""

from __future__ import annotations

import enum


class Status(enum.StrEnum):
    """A word that is also a string: ``status == "optimal"`` holds for `Status.OPTIMAL`."""

    OPTIMAL = "optimal", "The verified gap is within the tolerance."
    INACCURATE = "inaccurate", "What is reported holds, but its gap is above the tolerance."
    PRODUCT = (
        "scaled beyond float64: bound is the product of norms",
        "float64 cannot hold the multipliers or the values: the bound is the product of norms.",
    )
    CONVERGED = "converged", "The last step gained less than the tolerance."
    ITERATION_LIMIT = "iteration_limit", "The iterations were used up: the best point is returned."
    ROUND_LIMIT = "round_limit", "The rounds were used up: the best point is returned."
    TIME_LIMIT = "time_limit", "The time was used up: the best point is returned."
    INTERRUPTED = "interrupted", "Stopped by Ctrl-C: the last complete state is returned."
    DONE = "done", "All that was asked for was done."
    OVERFLOW = "overflow", "A value may exceed the type's largest number: nothing is promised."
    INFEASIBLE = "infeasible", "No point satisfies the constraints."
    UNBOUNDED = "unbounded", "The objective has no lower bound."
    OPTIMAL_INACCURATE = "optimal_inaccurate", "The solver met a reduced accuracy only."
    INFEASIBLE_INACCURATE = "infeasible_inaccurate", "Infeasible, to a reduced accuracy."
    UNBOUNDED_INACCURATE = "unbounded_inaccurate", "Unbounded, to a reduced accuracy."
    INFEASIBLE_OR_UNBOUNDED = "infeasible_or_unbounded", "Infeasible or without a lower bound."
    USER_LIMIT = "user_limit", "The solver's limit of iterations or time was reached."
    NUMERICAL_ERROR = "numerical_error", "The digits ran out before the least accuracy."
    SOLVER_ERROR = "solver_error", "The solver failed: its message says how."

    sentence: str

    def __new__(cls, word: str, sentence: str) -> Status:
        status = str.__new__(cls, word)
        status._value_ = word
        status.sentence = sentence
        return status
