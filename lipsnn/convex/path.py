"""The trade-off between loss and Lipschitz bound along a path of strengths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lipsnn import _checks
from lipsnn._optional import pd, tqdm
from lipsnn.convert import as_shallow
from lipsnn.convex.backend import backend
from lipsnn.convex.objective import objective
from lipsnn.convex.refine import refine
from lipsnn.convex.result import Refinement
from lipsnn.convex.samples import checked


@dataclass(frozen=True, eq=False)
class RefinementPath:
    """Refinements of one network at several strengths, in the order given."""

    refinements: tuple[Refinement, ...]

    @property
    def table(self) -> pd.DataFrame:
        """The curve: strength, objective, loss, bound (Lipschitz only), status, seconds."""
        rows = []
        for one in self.refinements:
            best = [step for step in one.history if step.accepted][-1]
            reached = best.loss, best.bound
            rows.append((one.strength, one.objective, *reached, one.status, one.seconds))
        names = ["strength", "objective", "loss", "bound", "status", "seconds"]
        return pd.DataFrame(rows, columns=names)


def refine_path(
    net: Any,
    X: Any,
    y: Any,
    strengths: Iterable[float],
    *,
    follow: bool = False,
    progress: bool | None = None,
    **settings: Any,
) -> RefinementPath:
    """Refine `net` at each of several strengths, as one does to choose one.

    With the default ``method="joint"`` this is the exact trade-off curve of one restriction: as the
    strength grows the loss does not fall and the bound does not grow. The Gram matrix and the rows
    that are carried are found once for all strengths. Ctrl-C returns the strengths that
    are done.

    Parameters
    ----------
    net, X, y
        As for `refine`.
    strengths : iterable of float
        Positive.
    follow : bool
        Start each strength from the best network there, among `net` and the results before it,
        so that it may profit from their cells. Every result is still no worse than `net`, but
        they no longer share one restriction.
    **settings
        Passed on to `refine`.

    Returns
    -------
    RefinementPath
    """
    net = as_shallow(net, X)
    samples, y = checked(X, y, net.dim)
    values = [_checks.positive(strength, "strengths") for strength in strengths]
    if not values:
        raise ValueError("strengths is empty: give at least one")
    regularizer = settings.get("regularizer", "lipschitz")
    reduction, loss = settings.get("reduction", "sum"), settings.get("loss", "squared")
    # one backend for all, so that its programs start from one another
    settings["solver"] = backend(settings.get("solver"))
    starts, done = [net], []
    hidden = None if progress is None else not progress
    for strength in tqdm.tqdm(values, desc="path", leave=False, disable=hidden):
        terms = samples, y, strength, regularizer, None, reduction, loss
        start = min(starts, key=lambda one: objective(one, *terms)) if follow else net
        result = refine(start, samples, y, strength, progress=progress, **settings)
        done.append(result)
        if follow:
            starts.append(result.net)
        if result.status == "interrupted":
            break
    return RefinementPath(tuple(done))
