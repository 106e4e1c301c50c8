"""The exact Lipschitz constant of a network with one hidden layer, as an interval that closes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate.branch import Search
from lipsnn.certificate.document import Document, array, number, or_no_proof, region_from
from lipsnn.certificate.entry import with_rounding
from lipsnn.certificate.form import Form, moved_by
from lipsnn.certificate.pieces import Pieces
from lipsnn.certificate.proof import ProofError
from lipsnn.certificate.region import Region, regions
from lipsnn.certificate.threads import one_blas_thread
from lipsnn.certificate.tree import entries, proved_at, proved_upper
from lipsnn.status import Status

_NUMBERS = ("lower", "upper", "seconds", "tol")
_SAID = (*_NUMBERS, "witness", "status", "nodes", "tree")
# How a search can end.
_ENDS = (Status.OPTIMAL, Status.INACCURATE, Status.TIME_LIMIT, Status.INTERRUPTED)


@dataclass(frozen=True, eq=False)
class ExactConstant(Document):
    """An interval that holds the Lipschitz constant of a network.

    Attributes
    ----------
    lower : float
        The length of the gradient at `witness`, rounded down.
    upper : float
        No slope, of the region if there is one, is steeper.
    witness : ndarray, (d,)
        A point of the region at which no unit that acts is zero.
    status : Status
        "optimal" when the gap is what was asked for, else why the search stopped.
    nodes : int
        Cells that were looked at.
    seconds : float
        Wall time.
    region : Region or None
        The ball, box or polytope that it is about; None for the whole space.
    net : ShallowNet or Network
    tol : float
        The gap that was asked for, of which `status` speaks.
    tree : list of dict or None
        What `verify` proves `upper` by, if it was asked for: see `certificate.tree`.
    """

    SCHEMA: ClassVar[str] = "lipsnn-constant/1"

    lower: float
    upper: float
    witness: Array
    status: str
    nodes: int
    seconds: float
    region: Region | None
    net: Any
    tol: float
    tree: list[dict[str, Any]] | None = None

    @property
    def gap(self) -> float:
        """``(upper - lower) / upper``, 0 for a constant network, 1 for an infinite side."""
        if not np.isfinite(self.upper):
            return 1.0
        return 1.0 - self.lower / self.upper if self.upper else 0.0

    def __repr__(self) -> str:
        where = f" on {self.region}" if self.region else ""
        return (
            f"ExactConstant({self.lower:.8g} <= L <= {self.upper:.8g}{where}, "
            f"gap {self.gap:.1e}, {self.status}, {self.nodes} nodes, {self.seconds:.2g} s)"
        )

    @one_blas_thread
    def verify(self) -> float:
        """Prove both sides in exact arithmetic, without any search.

        Returns
        -------
        float
            The proved upper side: `upper`, its last digits raised if they must be (by 1e-9 at
            most).

        Raises
        ------
        ProofError
            A ValueError with the reason why there is no proof.
        """
        if self.tree is None:
            raise ProofError("the tree was not kept: call exact_constant with proof=True")
        if not 0 <= self.lower <= self.upper < np.inf:
            raise ProofError("the sides are not numbers in order")
        closed = 0 < self.tol < 1 and self.upper - self.lower <= self.tol * self.upper
        if self.status not in _ENDS or (self.status == Status.OPTIMAL and not closed):
            raise ProofError(f"status {str(self.status)!r} with a gap of {self.gap:.1e}")
        if self.nodes < 1 or not 0 <= self.seconds < np.inf:
            raise ProofError("nodes and seconds are not those of a search")
        with or_no_proof("the region, the tree or the witness is malformed: "):
            more = _room(self.net, getattr(self.net, "rounding", ()))
            pieces = Pieces(self.net, self.region)
            least = Fraction(self.lower) + Fraction(more) if self.lower else Fraction(0)
            proved_at(pieces, self.witness, least)
            upper = proved_upper(pieces, self.tree, self.upper) + more
        if more and upper > self.upper * (1 + 1e-9):
            raise ProofError("the bound leaves no room for the rounding of multiplied layers")
        return upper

    def _content(self) -> dict[str, Any]:
        if self.tree is None:
            raise ValueError("there is no proof to write: call exact_constant with proof=True")
        return {name: getattr(self, name) for name in _SAID}

    @classmethod
    def _of(cls, content: dict[str, Any], net: Any) -> ExactConstant:
        tree = content["tree"]
        if not isinstance(tree, list) or type(content["nodes"]) is not int:
            raise TypeError("tree must be a list and nodes a whole number")
        return cls(
            witness=array(content["witness"], 1),
            status=Status(content["status"]),  # type: ignore[call-arg]  # by its word
            nodes=content["nodes"],
            region=region_from(content, net.dim),
            net=net,
            tree=tree,
            **{name: number(content[name], name) for name in _NUMBERS},
        )


def _room(net: Any, rounding: tuple[float, ...]) -> float:
    """By what slopes of layers that were multiplied with rounding may differ from those of net."""
    if any(rounding[:-1]):
        raise ProofError(
            "the first matrix stands for layers whose product was rounded, which moves the places "
            "where units switch: build a Network from the weights of as_network(net) for the "
            "constant of that product"
        )
    return moved_by(Form.of(net), rounding) if any(rounding) else 0.0


@one_blas_thread
def exact_constant(
    net: Any,
    ball: Any = None,
    box: Any = None,
    polytope: Any = None,
    gap: float = 1e-3,
    time_limit: float = 60.0,
    seed: int = 0,
    proof: bool = False,
    jobs: int = 1,
) -> ExactConstant:
    """The Lipschitz constant of `net` in the l2 norm, from below and from above.

    `certify` bounds the slopes of all patterns of active units, those that no input has among
    them. This converges to the steepest slope that there is, by branch and bound (fact K). It
    closes at once for most networks that were trained with a strong penalty, takes seconds to
    minutes for other hundreds of units in few dimensions, and may take for ever: both sides hold
    whenever it stops, by Ctrl-C too. Two units whose hyperplanes agree up to rounding have cells
    between them that hold no float64; there the sides may stay apart.

    Parameters
    ----------
    net : ShallowNet, Network, torch.nn.Module or anything that `as_network` takes
        One hidden layer of relu, leaky_relu, prelu or abs, and one output.
    ball, box, polytope : optional
        The inputs that it is about, as for `certify`, of a ball one centre; all by default.
    gap : float
        Gap between the sides, relative to the upper one, at which to stop.
    time_limit : float
        Seconds after which to stop.
    seed : int
        Of the lines along which slopes are looked for.
    proof : bool
        Keep the tree, a kilobyte or so for each of its nodes, for `verify` and `to_json`.
    jobs : int
        Processes that search side by side (with joblib), once there are enough cells for all.

    Raises
    ------
    ValueError
        For another network, a region that does not fit, or one without an inner point; and where
        the first layer was put together from several, or from a scaler, with rounding.
    """
    begun = time.perf_counter()
    net, rounding = with_rounding(net)
    more = _room(net, rounding)
    found = regions(net.dim, ball, box, polytope)
    if len(found) > 1:
        raise ValueError("exact_constant takes the ball of one centre: call it for each")
    if not (gap := _checks.positive(gap, "gap")) < 1:
        raise ValueError(f"gap is relative to the upper side and must be below 1, got {gap:g}")
    stop = begun + _checks.positive(time_limit, "time_limit")
    seed = _checks.count(seed, "seed", least=0)
    search = Search(net, found[0] if found else None, gap, seed, keep=proof)
    status = search.run(stop, _checks.count(jobs, "jobs"))
    lower, upper = search.interval()
    if more:
        lower, upper = max(np.nextafter(lower - more, 0.0), 0.0), upper + more
    return ExactConstant(
        lower=lower,
        upper=upper,
        witness=search.witness,
        status=Status.OPTIMAL if upper - lower <= gap * upper < np.inf else status,
        nodes=search.nodes,
        seconds=time.perf_counter() - begun,
        region=search.region,
        net=net,
        tol=gap,
        tree=entries(search.root) if proof else None,
    )
