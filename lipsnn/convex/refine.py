"""Algorithm 1 and the joint program: convex refinement of a trained network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lipsnn import _checks
from lipsnn._optional import tqdm
from lipsnn.convert import as_network
from lipsnn.convex import layers
from lipsnn.convex.backend import Backend, backend
from lipsnn.convex.layers import layered, only_relu
from lipsnn.convex.mapping import sample_half
from lipsnn.convex.objective import REDUCTIONS, REGULARIZERS
from lipsnn.convex.polish import polish
from lipsnn.convex.result import Refinement
from lipsnn.convex.samples import CHUNK, TOO_LARGE, checked
from lipsnn.convex.search import Search
from lipsnn.convex.walk import walk
from lipsnn.losses import Loss, scalar_loss, smooth_loss
from lipsnn.network import ShallowNet

ROUNDS, SWEEPS = 50, 3  # if not said
METHODS: dict[str, Callable[..., Iterator[None]]] = {
    "joint": Search.joint,
    "alternating": Search.alternation,
    "walk": walk,
    "polish": polish,
}
# Of deep networks and of several outputs.
LAYERED: dict[str, Callable[..., Iterator[None]]] = {
    "layers": layers.sweeps,
    "polish": polish,
    "joint": layers.joint,
    "alternating": layers.alternation,
    "walk": layers.walk,
}


def refine(
    net: Any,
    X: Any,
    y: Any,
    strength: float | None = None,
    regularizer: str = "lipschitz",
    method: str | None = None,
    solver: str | Backend | None = None,
    *,
    bound: float | str | None = None,
    rounds: int | None = None,
    sweeps: int | None = None,
    tol: float = 1e-5,
    sample: int | None = None,
    reduction: str = "sum",
    loss: str | Loss = "squared",
    output_bias: bool | None = None,
    progress: bool | None = None,
) -> Refinement:
    """Improve a trained network by convex programs within its own activation patterns.

    The network's patterns on X and the signs of its outer weights are fixed; what is left of
    problem (4) is convex and contains the network (Corollary 10), so that its optimum is never
    worse. The result is evaluated afresh and handed out only if that holds in floating point.

    Parameters
    ----------
    net : ShallowNet, Network, torch.nn.Module or anything that `as_network` takes
        The trained ReLU network.
    X : array_like, (n, d)
        The data it was trained on, without the bias feature. A memory-mapped file
        (`numpy.memmap`) or a Dask array is read chunk by chunk, on a Dask cluster where its chunks
        are, and may be larger than memory.
    y : array_like, (n,)
        Or (n, k) for k outputs, or class numbers (n,).
    strength : float
        lam_lip or lam_reg of problem (4), positive; or give `bound`. How to choose one: try a few
        powers of ten by `refine_path` and look at its table for the bound that can be afforded,
        or compare the losses of the refined networks on data held out.
    regularizer : {"lipschitz", "l2"}
        "l2" solves program (6), once, whatever `method` says.
    method : {"joint", "alternating", "walk", "polish", "layers"}, optional
        If None, "joint" for one hidden layer and one output, else "layers": sweeps over the layers,
        each a convex program (see `lipsnn.convex.layers`, which says what its variables are). A
        layer whose program has more than 4000 unknowns is left as it is, and its entry in the
        history says so. Deep networks take "layers" and "polish"; with one hidden layer and
        several outputs all do, and those below hold the directions of the outer weights.
        "joint" solves over the weights, the outer weights and T in one program. "alternating" is
        the paper's Algorithm 1: T from (2), then (12) at that T, and again; its limit is never
        below the joint program, and it takes a program for each round. "walk" goes on from the
        joint optimum into neighbouring cells while that helps, and "polish" takes turns between
        the joint program, or a sweep, and training on the certificate's gradient: both end below
        the joint program or where it ended.
    solver : str or Backend, optional
        "structured" (our interior-point method, also if None), "reference" (the programs in CVXPY
        as printed, by MOSEK with a licence, else Clarabel), or the name of a CVXPY solver.
    bound : float or "own", optional
        In place of a strength, the largest L that the result may have, positive: the programs
        minimise the loss alone under rho <= L^2, and so does what is said of the objective above.
        The certificate of the result is at most L in floating point. "own" is the bound of `net`:
        the loss falls and the bound does not rise. Where that of `net` is above L, its outer
        weights are first scaled down to it, which is always feasible, and the result is never
        worse than that network (it may have a larger loss than `net`).
    rounds : int, optional
        Most rounds of the alternation, steps of the walk or turns of the polish, 50 if None.
    sweeps : int, optional
        The same of sweeps over the layers, and of a deep network's turns, 3 if None; `rounds` will
        do.
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
    loss : {"squared", "huber", "logistic", "cross_entropy"} or Loss
        The paper's half of the squared error; `lipsnn.losses.Huber(delta)`, delta being 1 by name;
        or that of labels y, -1 and 1 or 0 and 1; or that of class numbers and an output for each
        class. With one output the structured solver takes the others by Newton's method, a program
        for each step.
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
        For bad input; for activations other than ReLU; for a file or Dask array with a solver or
        method that needs it whole; for a network of which every layer is too large for "layers"; or
        for one that is dead on X (no unit with a non-zero outer weight is active on any sample):
        there is nothing to refine.
    RuntimeError
        If MOSEK is asked for by name and not licensed.
    """
    if not isinstance(net, ShallowNet):
        net = as_network(net, X)
        only_relu(net)
    shallow = isinstance(net, ShallowNet) or net.is_shallow
    if method is None:
        method = "joint" if shallow else "layers"
    _checks.one_of(method, "method", (*METHODS, "layers"))
    _checks.one_of(regularizer, "regularizer", REGULARIZERS)
    _checks.one_of(reduction, "reduction", REDUCTIONS)
    methods = METHODS if shallow and method != "layers" else LAYERED
    swept = methods is LAYERED and method in ("layers", "polish")
    if sweeps is not None and (rounds is not None or not swept):
        raise ValueError(
            "give sweeps or rounds, which mean the same"
            if swept
            else f"sweeps are over the layers of a network: for {method!r} give rounds"
        )
    rounds = sweeps if rounds is None else rounds
    if rounds is None:
        rounds = SWEEPS if swept else ROUNDS
    rounds, tol = _checks.count(rounds, "rounds"), _checks.nonnegative(tol, "tol")
    if (strength is None) == (bound is None):
        raise ValueError(
            "give either strength, the price of L^2 in the objective, or bound, the largest L "
            f"that the result may have, got strength={strength!r} and bound={bound!r}"
        )
    if bound is None:
        strength = _checks.positive(strength, "strength")
    elif regularizer == "l2":
        raise ValueError(
            'a bound is one on L: use regularizer="lipschitz", or give "l2" a strength'
        )
    elif bound != "own":
        try:
            bound = _checks.positive(bound, "bound")
        except ValueError as error:
            raise ValueError(
                f"{error}: every bound above 0 can be kept, by scaling the last weights down, and "
                "at 0 there are only constants"
            ) from None
    programs, kind = backend(solver), smooth_loss(loss)
    terms = strength, regularizer, programs, reduction, bound, kind
    search: Any
    if methods is LAYERED:
        if sample is not None or output_bias is False or regularizer != "lipschitz":
            raise ValueError(
                'deep networks, several outputs and method="layers" take regularizer="lipschitz", '
                "and neither sample nor output_bias=False"
            )
        net = net.to_network() if isinstance(net, ShallowNet) else net
        if not swept and len(net.widths) > 1:
            raise ValueError(
                f"method={method!r} is for one hidden layer of ReLU, and this is {net!r}: leave "
                'method out, or take "layers" or "polish"'
            )
        if not swept and (many := layers.unknowns(net)[0]) > layers.LIMIT:
            raise ValueError(
                f"method={method!r} is one program over the hidden layer, of {many} unknowns here, "
                f'more than {layers.LIMIT}: take "layers", which improves the output layer alone, '
                "or fewer units or inputs"
            )
        search = layered(net, X, y, *terms)
    else:
        net = net if isinstance(net, ShallowNet) else net.to_shallow()
        samples, y = checked(X, y, net.dim)
        kind = scalar_loss(kind)
        y = kind.targets(y, ())
        _ = samples.mean_square  # finds what is beyond float64, as the programs need it
        with np.errstate(over="ignore"):
            if not np.isfinite(y @ y):
                raise ValueError(TOO_LARGE.format("y"))
        first = samples.rows(slice(CHUNK))[:, :-1]
        if output_bias is None:
            output_bias = net.offset != 0
        _checks.warn_of_scales(first, -kind.gradient(net(first), y[:CHUNK]), centred=output_bias)
        if method == "polish" or programs.name != "structured":
            samples.array()  # whole, or an error
        search = given = Search(net, samples, y, *terms, output_bias)
        keys = given.cells.patterns.keys
        if not any(key and a != 0 for key, a in zip(keys, net.outer, strict=True)):
            raise ValueError(
                "the network is dead on this data: no unit with a non-zero outer weight is active "
                "on any sample; train it longer or start from other weights"
            )
        if sample is not None:
            halved = sample_half(net, _checks.count(sample, "sample", least=0))
            terms = *terms[:-2], given.limit, kind
            search = Search(halved, samples, y, *terms, output_bias)
            search.initial_objective = given.initial_objective
            search.initial_certificate = given.initial_certificate
    steps = (Search.restriction if regularizer == "l2" else methods[method])(search, rounds, tol)
    hidden = None if progress is None else not progress
    try:
        for _ in tqdm.tqdm(steps, desc="refine", unit=" programs", leave=False, disable=hidden):
            pass
    except KeyboardInterrupt:
        search.status = "interrupted"
    return search.result(method)
