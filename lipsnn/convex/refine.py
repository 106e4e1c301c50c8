"""Algorithm 1 and the joint program: convex refinement of a trained network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lipsnn import _checks
from lipsnn._optional import tqdm
from lipsnn.convert import as_shallow
from lipsnn.convex.backend import Backend, backend
from lipsnn.convex.mapping import sample_half
from lipsnn.convex.objective import REGULARIZERS
from lipsnn.convex.polish import polish
from lipsnn.convex.result import Refinement
from lipsnn.convex.search import Search, alternation, joint, restriction
from lipsnn.convex.walk import walk

METHODS = ("alternating", "joint", "walk", "polish")


def refine(
    net: Any,
    X: Any,
    y: Any,
    strength: float,
    regularizer: str = "lipschitz",
    method: str = "alternating",
    solver: str | Backend | None = None,
    *,
    rounds: int = 50,
    tol: float = 1e-5,
    sample: int | None = None,
    progress: bool | None = None,
) -> Refinement:
    """Improve a trained network by convex programs within its own activation patterns.

    The network's patterns on X and the signs of its outer weights are fixed; what is left of
    problem (4) is convex and contains the network (Corollary 10), so that its optimum is never
    worse. The result is evaluated afresh and handed out only if that holds in floating point.

    Parameters
    ----------
    net : ShallowNet or torch.nn.Sequential
        The trained network (Linear, ReLU, Linear). Its offset is kept.
    X : array_like, (n, d)
        The data it was trained on, without the bias feature.
    y : array_like, (n,)
    strength : float
        lam_lip or lam_reg of problem (4), positive.
    regularizer : {"lipschitz", "l2"}
        "l2" solves program (6), once, whatever `method` says.
    method : {"alternating", "joint", "walk", "polish"}
        "alternating" is Algorithm 1: T from (2), then (12) at that T, and again. "joint" solves
        over the weights, the outer weights and T in one program; it is never above the other's
        limit. "walk" goes on from the joint optimum into neighbouring cells while that helps,
        and "polish" takes turns between the joint program and training on the certificate's
        gradient: both end below the joint program or where it ended.
    solver : str or Backend, optional
        "structured" (our interior-point method, also if None), "reference" (the programs in CVXPY
        as printed, by MOSEK with a licence, else Clarabel), or the name of a CVXPY solver.
    rounds : int
        Most rounds of the alternation, steps of the walk, or turns of the polish.
    tol : float
        These have converged when one lowers the objective by less than this, relative to it.
    sample : int, optional
        The seed of the paper's samp baseline: half of the units are drawn, and each of their
        patterns serves both signs, P+ = P- (see `sample_half`). The result is no worse than that
        doubled network, but it may be worse than `net`, whose objective and certificate are the
        initial ones here, and it is returned all the same.
    progress : bool, optional
        Show a progress bar; on a terminal only, if None.

    Returns
    -------
    Refinement

    Raises
    ------
    ValueError
        For bad input, or a network that is dead on X (no unit with a non-zero outer weight is
        active on any sample): there is nothing to refine.
    RuntimeError
        If MOSEK is asked for by name and not licensed.
    """
    net = as_shallow(net, X)
    X, y = _checks.data_pair(X, y, net.dim)
    _checks.warn_of_scales(X, y - net(X))
    strength = _checks.positive(strength, "strength")
    _checks.one_of(regularizer, "regularizer", REGULARIZERS)
    _checks.one_of(method, "method", METHODS)
    rounds = _checks.count(rounds, "rounds")
    tol = _checks.nonnegative(tol, "tol")
    if not (net.patterns(X) & (net.outer != 0)).any():
        raise ValueError(
            "the network is dead on this data: no unit with a non-zero outer weight is active on "
            "any sample; train it longer or start from other weights"
        )
    programs = backend(solver)
    given = Search(net, X, y, strength, regularizer, programs)
    search = given
    if sample is not None:
        halved = sample_half(net, _checks.count(sample, "sample", least=0))
        search = Search(halved, X, y, strength, regularizer, programs)
    if regularizer == "l2":
        steps = restriction(search)
    elif method == "joint":
        steps = joint(search)
    elif method == "walk":
        steps = walk(search, rounds, tol)
    elif method == "polish":
        steps = polish(search, rounds, tol)
    else:
        steps = alternation(search, rounds, tol)
    hidden = None if progress is None else not progress
    try:
        for _ in tqdm.tqdm(steps, desc="refine", unit=" programs", leave=False, disable=hidden):
            pass
    except KeyboardInterrupt:
        search.status = "interrupted"
    return replace(
        search.result(method),
        initial_objective=given.initial_objective,
        initial_certificate=given.initial_certificate,
    )
