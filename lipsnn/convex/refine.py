"""Algorithm 1 and the joint program: convex refinement of a trained network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._optional import tqdm
from lipsnn.convert import as_shallow
from lipsnn.convex.backend import Backend, backend
from lipsnn.convex.mapping import sample_half
from lipsnn.convex.objective import REDUCTIONS, REGULARIZERS
from lipsnn.convex.polish import polish
from lipsnn.convex.result import Refinement
from lipsnn.convex.samples import CHUNK, TOO_LARGE, checked
from lipsnn.convex.search import Search, alternation, joint, restriction
from lipsnn.convex.walk import walk

METHODS = ("joint", "alternating", "walk", "polish")


def refine(
    net: Any,
    X: Any,
    y: Any,
    strength: float,
    regularizer: str = "lipschitz",
    method: str = "joint",
    solver: str | Backend | None = None,
    *,
    rounds: int = 50,
    tol: float = 1e-5,
    sample: int | None = None,
    reduction: str = "sum",
    output_bias: bool | None = None,
    progress: bool | None = None,
) -> Refinement:
    """Improve a trained network by convex programs within its own activation patterns.

    The network's patterns on X and the signs of its outer weights are fixed; what is left of
    problem (4) is convex and contains the network (Corollary 10), so that its optimum is never
    worse. The result is evaluated afresh and handed out only if that holds in floating point.

    Parameters
    ----------
    net : ShallowNet or torch.nn.Sequential
        The trained network (Linear, ReLU, Linear).
    X : array_like, (n, d)
        The data it was trained on, without the bias feature. A memory-mapped file
        (`numpy.memmap`) or a Dask array is read chunk by chunk, on a Dask cluster where its chunks
        are, and may be larger than memory.
    y : array_like, (n,)
    strength : float
        lam_lip or lam_reg of problem (4), positive. How to choose one: try a few powers of ten by
        `refine_path` and look at its table for the bound that can be afforded, or compare the
        losses of the refined networks on data held out.
    regularizer : {"lipschitz", "l2"}
        "l2" solves program (6), once, whatever `method` says.
    method : {"joint", "alternating", "walk", "polish"}
        "joint" solves over the weights, the outer weights and T in one program. "alternating" is
        the paper's Algorithm 1: T from (2), then (12) at that T, and again; its limit is never
        below the joint program, and it takes a program for each round. "walk" goes on from the
        joint optimum into neighbouring cells while that helps, and "polish" takes turns between
        the joint program and training on the certificate's gradient: both end below the joint
        program or where it ended.
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
    reduction : {"sum", "mean"}
        Of the loss, as in torch: the paper's problem (4) has the sum. "mean" divides it by n, so
        that a strength means the same at every n (that of "sum", divided by n).
    output_bias : bool, optional
        Whether the output bias is a variable of the programs too: it costs nothing and belongs to
        no activation pattern. If None, whether the network has one, which is to say that its
        `offset` is not zero (the paper's networks have none, and keep the paper's programs). If
        False the offset stays as it is.
    progress : bool, optional
        Show a progress bar; on a terminal only, if None. What lasts also logs a line every ten
        seconds, at level INFO of the logger "lipsnn".

    Returns
    -------
    Refinement

    Raises
    ------
    ValueError
        For bad input; for a file or Dask array with a solver or method that needs it whole; or for
        a network that is dead on X (no unit with a non-zero outer weight is active on any sample):
        there is nothing to refine.
    RuntimeError
        If MOSEK is asked for by name and not licensed.
    """
    net = as_shallow(net, X)
    samples, y = checked(X, y, net.dim)
    _ = samples.mean_square  # finds what is beyond float64, as the programs need it
    with np.errstate(over="ignore"):
        if not np.isfinite(y @ y):
            raise ValueError(TOO_LARGE.format("y"))
    first = samples.rows(slice(CHUNK))[:, :-1]
    if output_bias is None:
        output_bias = net.offset != 0
    _checks.warn_of_scales(first, y[:CHUNK] - net(first), centred=output_bias)
    strength = _checks.positive(strength, "strength")
    _checks.one_of(regularizer, "regularizer", REGULARIZERS)
    _checks.one_of(method, "method", METHODS)
    _checks.one_of(reduction, "reduction", REDUCTIONS)
    rounds = _checks.count(rounds, "rounds")
    tol = _checks.nonnegative(tol, "tol")
    programs = backend(solver)
    if method == "polish" or programs.name != "structured":
        samples.array()  # whole, or an error
    given = Search(net, samples, y, strength, regularizer, programs, reduction, output_bias)
    if not any(key and a != 0 for key, a in zip(given.cells.patterns.keys, net.outer, strict=True)):
        raise ValueError(
            "the network is dead on this data: no unit with a non-zero outer weight is active on "
            "any sample; train it longer or start from other weights"
        )
    search = given
    if sample is not None:
        halved = sample_half(net, _checks.count(sample, "sample", least=0))
        search = Search(halved, samples, y, strength, regularizer, programs, reduction, output_bias)
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
