"""What a certificate says, and what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn.certificate.deployed import FORMATS, Deployed, evaluation_error
from lipsnn.certificate.document import Document, array, number, region_from
from lipsnn.certificate.form import Form, moved_by, reach
from lipsnn.certificate.gradient import gradient_of
from lipsnn.certificate.ladder import Ladder, ladder
from lipsnn.certificate.linear import sides_of
from lipsnn.certificate.product import proved_product
from lipsnn.certificate.proof import ProofError, proved_bound, proved_lower
from lipsnn.certificate.region import Region
from lipsnn.convert import as_network
from lipsnn.network import ShallowNet
from lipsnn.status import Status

_NUMBERS = ("bound", "lower", "seconds", "tol")
_WORDS = ("status", "method", "solver")
# What only other computations say of how they ended.
_NEVER = {Status.CONVERGED, Status.ROUND_LIMIT, Status.TIME_LIMIT, Status.INTERRUPTED}
_NEVER |= {Status.DONE, Status.OVERFLOW}


@dataclass(frozen=True, eq=False)
class Certificate(Document):
    """A Lipschitz bound of a network with the multipliers that prove it.

    Attributes
    ----------
    net : ShallowNet or Network
        The network that is certified.
    bound : float
        L = sqrt(rho): ``|f(x) - f(x')| <= L |x - x'|`` for all x, x' in the l2 norm, of `region`
        if there is one.
    lower : float
        A lower value of the same program (2): no multipliers give less. Not a lower bound on
        the network's Lipschitz constant, which `summary` has.
    multipliers : ndarray, (m,), or tuple of ndarray
        t, the diagonal of T in the LMI (2b), for a `ShallowNet`; else the diagonals of
        T_1 .. T_l: infinite for a unit that sees no input, 0 for one that no output sees. NaN
        where float64 has none. In a region infinite also for a unit that is >= 0 on all of it,
        and 0 for one that is <= 0.
    factors : tuple of ndarray
        F_0 (d, K) .. F_l (n_l, K): increments ``v_i = F_i xi``, xi standard normal, that satisfy
        all sectors and give `lower`. Of one hidden layer with one output F_0 is enough.
    status : Status
        "optimal" when the gap is within the tolerance, else what happened.
    seconds : float
        Wall time.
    iterations : int or None
    method : str
        The form of the program that was solved: "P", "q", "lowrank", "chordal" or "lmi".
    solver : str
        The solver that ran: "lipsnn" or a CVXPY solver.
    tol : float
        The tolerance that `status` speaks of.
    region : Region or None
        The ball, box or polytope that it is about; None for the whole space.
    sectors : tuple of (ndarray, (2, n_i), or None), or None
        On a region the least and the largest slope of each unit of the layers whose activation is
        not positively homogeneous; their multipliers are those of `lipsnn.certificate.skipped`.
    """

    SCHEMA: ClassVar[str] = "lipsnn-certificate/2"

    net: Any
    bound: float
    lower: float
    multipliers: Any
    factors: tuple[Array, ...]
    status: str
    seconds: float
    iterations: int | None
    method: str
    solver: str
    tol: float
    region: Region | None = None
    sectors: tuple[Array | None, ...] | None = None

    def __repr__(self) -> str:
        where = f" on {self.region}" if self.region else ""
        return (
            f"Certificate of {self.net!r}: L <= {self.bound:.6g}{where}\n"
            f"  any multipliers give at least {self.lower:.6g}: gap {self.gap:.1e}, {self.status}\n"
            f"  method {self.method} by {self.solver}, {self.seconds:.2g} s"
        )

    @property
    def gap(self) -> float:
        """``(bound - lower) / bound``; 0 for a constant network, 1 for an infinite bound."""
        if not np.isfinite(self.bound):
            return 1.0
        return 0.0 if self.bound == 0.0 else 1.0 - self.lower / self.bound

    @property
    def factor(self) -> Array:
        """R (d, k) with P = RR', the matrix of fact A that gives `lower` and starts a solve."""
        return self.factors[0]

    @property
    def layers(self) -> tuple[Array, ...]:
        """The diagonals of T_1 .. T_l, whatever the depth."""
        return (self.multipliers,) if isinstance(self.net, ShallowNet) else self.multipliers

    def gradient(self) -> Any:
        """Gradients of the bound by the weights, exact to the extent that `gap` is zero.

        With the increments held (fact H, see `lipsnn.certificate.gradient`); where L has a kink, a
        subgradient.

        Returns
        -------
        tuple of ndarray
            Of a `ShallowNet` by its weights (m, d + 1), zero for the bias, and by its outer
            weights (m,); else by W_0 .. W_l.
        """
        found = gradient_of(self, self.form())
        if not isinstance(self.net, ShallowNet):
            return found
        by_weights, by_outer = found
        return np.column_stack([by_weights, np.zeros(len(by_weights))]), by_outer[0]

    def ladder(self, X: Any = None, seed: int = 0) -> Ladder:
        """What lies below and above the bound; X (k, d) are data to take gradients at."""
        if self.region is not None:
            raise ValueError("the ladder is of the whole space: certify without a region")
        X = None if X is None else _checks.inputs(X, self.net.dim)
        return ladder(self.net, self.factor, self.bound, X, seed)

    def summary(self, X: Any = None, seed: int = 0) -> None:
        """Print the ladder: sampled <= exact <= rounded <= certificate <= product of norms."""
        print(self.ladder(X, seed))

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def verify(self, net: Any = None) -> float:
        """Prove the bound in exact arithmetic, from the weights of `net` and the multipliers.

        `lower` is proved from the factors, and `status` has to be what the two make it.

        Parameters
        ----------
        net : ShallowNet, Network or torch.nn.Module, optional
            The network to prove it for, `self.net` if None.

        Returns
        -------
        float
            The proved bound: `bound`, its last digits raised if they must be (by 1e-9 at most, or
            where units are all but linear by what that costs: see `form.outwards`).

        Raises
        ------
        ProofError
            A ValueError with the reason why there is no proof.
        """
        given = self.net if net is None else as_network(net)
        rounding = getattr(given, "rounding", ())
        form = self.form(given, rounding)
        if self.status == Status.PRODUCT:
            proved = proved_product(form, self.bound)
        else:
            proved = proved_bound(form, self.layers, self.bound)
        if net is None:
            self._check(form)
        live, _ = reach(Form.of(given))
        known = zip(live, form.fixed, strict=True)
        if any(rounding) and any(np.isfinite(own[units]).any() for units, own in known):
            proved += moved_by(form, rounding)
            if proved > self.bound * (1 + 1e-9):
                raise ProofError("the bound leaves no room for the rounding of multiplied layers")
        return proved

    def form(self, net: Any = None, rounding: tuple[float, ...] | None = None) -> Form:
        """What the bound sees of `net`, `self.net` if None: units fixed by their multipliers.

        With `rounding`, that of the weights, only where that is proved, or a ProofError.
        """
        net = self.net if net is None else net
        form = Form.of(net)
        if self.region is None or list(map(len, self.layers)) != list(form.widths):
            return form
        if self.factors and len(self.factors[0]) != form.dim:
            raise ProofError(
                f"the certificate has {len(self.factors[0])} inputs and the network {form.dim}"
            )
        sides = [
            np.select([np.isposinf(t), t == 0], [1, -1], 0) if own is None else own
            for t, own in zip(self.layers, self.sectors or [None] * len(self.layers), strict=True)
        ]
        if rounding is None:
            return form.fixing(sides)
        try:
            form = form.fixing(sides_of(form, self.region, sides, rounding))
        except ValueError as error:
            raise ProofError(str(error)) from None
        live, _ = reach(form)
        for t, units, free in zip(self.layers, live, form.free, strict=True):
            if (np.isposinf(t) | (t == 0))[units & free].any():
                raise ProofError(f"a fixed unit is not proved to keep its side on {self.region}")
        return form

    def _check(self, form: Form) -> None:
        """That what is said beside the bound is so."""
        if not 0 <= self.lower <= self.bound:
            raise ProofError(f"lower is {self.lower!r}, not between 0 and the bound")
        live, _ = reach(form)
        rows = [np.ones(form.dim, dtype=bool), *live]
        if any(len(F) != len(r) for F, r in zip(self.factors, rows, strict=False)):
            raise ProofError("lower is not a value that its factors give: their shapes differ")
        factors = tuple(F[r] for F, r in zip(self.factors, rows, strict=False))
        proved_lower(form.part(live) if all(map(np.any, live)) else form, factors, self.lower)
        if self.status in _NEVER:
            raise ProofError(f"{str(self.status)!r} is no status of a certificate")
        closed = self.bound - self.lower <= self.tol * self.bound
        if not 0 < self.tol < 1 or (self.status == Status.OPTIMAL and not closed):
            raise ProofError(f"status {str(self.status)!r} with a gap of {self.gap:.1e}")

    def deployed(self, dtype: Any, radius: float) -> Deployed:
        """What holds of the network as it runs in `dtype`: ``L |x - x'| + 2 E``.

        For products and sums rounded to nearest in `dtype` or a wider type, in any order, with or
        without fused multiply-add, subnormal numbers kept or flushed to zero. The weights are
        `net`'s, layer by layer as `to_torch` has them, each rounded to `dtype`; the inputs are
        numbers of `dtype`. Not for arithmetic of fewer digits, such as TF32 in place of float32,
        for Strassen's way of multiplying, or for a module that has other layers than `net`.

        Parameters
        ----------
        dtype : str, torch.dtype or numpy dtype
            "float32", "float16", "bfloat16" or "float64".
        radius : float
            The largest l2 norm of the inputs.

        Returns
        -------
        Deployed
            Its `error` is infinite, and its `status` "overflow", where a value may exceed the
            largest number of `dtype`.

        Raises
        ------
        ValueError
            For another type, a radius that is negative or not finite, or an activation that is
            not relu, leaky_relu, prelu, abs, hardtanh, relu6 or softshrink.
        """
        name = getattr(dtype, "__name__", str(dtype)).removeprefix("torch.")
        _checks.one_of(name, "dtype", tuple(FORMATS))
        radius = _checks.nonnegative(radius, "radius")
        error = evaluation_error(self.net, name, radius)
        status = Status.DONE if np.isfinite(error) else Status.OVERFLOW
        return Deployed(self.bound, error, name, radius, status, self.region)

    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for name in (*_NUMBERS, *_WORDS, "iterations"):
            value = getattr(self, name)
            # JSON has no infinite number
            content[name] = None if isinstance(value, float) and not np.isfinite(value) else value
        # a unit whose multiplier is not finite, because it does not act, has null
        content["multipliers"] = [
            [None if not np.isfinite(t) else t for t in own.tolist()] for own in self.layers
        ]
        if self.sectors is not None:
            content["sectors"] = self.sectors
        return content | {"factors": self.factors}

    @classmethod
    def _of(cls, content: dict[str, Any], net: Any) -> Certificate:
        words = {name: content[name] for name in _WORDS}
        if not all(isinstance(word, str) and word.isprintable() for word in words.values()):
            raise TypeError("status, method and solver must be strings of one line")
        beyond = words["status"] == Status.PRODUCT
        numbers = {name: number(content[name], name, beyond) for name in _NUMBERS}
        if words["status"] in set(Status):
            words["status"] = Status(words["status"])  # type: ignore[call-arg]  # by its word
        elif not words["status"].startswith(f"{Status.SOLVER_ERROR}: "):
            raise ProofError(f"unknown status {words['status'][:80]!r}")
        iterations = content["iterations"]
        if not (iterations is None or (type(iterations) is int and iterations >= 0)):
            raise TypeError("iterations must be a whole number")
        layers, widths = content["multipliers"], Form.of(net).widths
        if len(layers) != len(widths):
            raise TypeError(f"{len(layers)} layers of multipliers for a network of {len(widths)}")
        sectors = content.get("sectors")
        if sectors is not None:
            kinds = zip(sectors, Form.of(net).activations, strict=True)
            if any((own is None) != phi.homogeneous for own, phi in kinds):
                raise TypeError("sectors are those of the layers that are not homogeneous")
            sectors = tuple(None if own is None else array(own, 2) for own in sectors)
        # null is the multiplier of a unit that does not act
        nothing = np.nan if beyond else np.inf
        t = tuple(array([nothing if own is None else own for own in layer], 1) for layer in layers)
        return cls(
            net=net,
            multipliers=t[0] if isinstance(net, ShallowNet) else t,
            factors=tuple(array(F, 2) for F in content["factors"]),
            iterations=iterations,
            region=region_from(content, net.dim),
            sectors=sectors,
            **numbers,  # type: ignore[arg-type]
            **words,
        )
