"""The arrow LMI of the Lipschitz programs as a cone with Nesterov-Todd scaling."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from lipsnn._checks import Array
from lipsnn.certificate.symmetric import Scaling

# Rho is at least this much above what the slopes need after a warm start, and at the method's own.
_MARGIN, _ROOM = 1.1, 1.5


class ArrowCone:
    """``S = [[rho I_d, V'], [V, diag]] >= 0`` with a hub of order d and spokes 0..g.

    With T free the spokes are V = [sum_i zbar_i; zbar_1; ..; zbar_g] and diag =
    4 (1 - sum q, q_1, .., q_g) (fact C). With T fixed, so is q; dividing row i by 2 sqrt(q_i)
    turns diag into ones, and rho bounds the squared spectral norm of V.

    The variables are Z (d + 1, g), of which the last row, the biases, takes no part, and the
    extras: q_1, .., q_g if T is free, then rho unless it is given. Slack S and multiplier Y are
    symmetric matrices of order d + 1 + g; the trace of Y's hub is what a unit of rho is worth.

    Parameters
    ----------
    d, g : int
        Inputs and units.
    strength : float or None
        Cost of rho.
    rho : float or None
        Its value where a bound is enforced; `strength` has then no meaning.
    shares : ndarray, (g + 1,), optional
        Fixed (q_0, .., q_g), positive; None frees them.
    """

    def __init__(
        self,
        d: int,
        g: int,
        strength: float | None,
        rho: float | None = None,
        shares: Array | None = None,
    ) -> None:
        self.d, self.g, self.free, self.rho = d, g, shares is None, rho
        self.degree = d + 1 + g
        self.extras = (g if self.free else 0) + (rho is None)
        self.cost = np.zeros(self.extras)
        if rho is None:
            self.cost[-1] = strength
        # a share of 1e-60 is below all rounding; the squares of a smaller one's scale overflow
        scale = np.ones(g + 1) if shares is None else 0.5 / np.sqrt(np.maximum(shares, 1e-60))
        self._scale0, self._scale = scale[0], scale[1:]
        self._hub, self._spokes = np.arange(d), np.arange(d, self.degree)

    def start(self, Z: Array) -> tuple[Array, Array]:
        """Z, shortened where rho is given, and extras for which S is well inside its cone there."""
        slopes = np.column_stack([Z[: self.d].sum(axis=1), Z[: self.d]])
        sizes = np.linalg.norm(slopes, axis=0)
        sizes += sizes.mean() or 1.0
        extras = np.resize(sizes[1:] / sizes.sum(), self.extras)
        if self.rho is None:
            extras[-1] = 3.0  # at unit scale, room for slopes of order one
        return self._inside(Z, extras, _ROOM), extras

    def _inside(self, Z: Array, extras: Array, room: float) -> Array:
        """Z, shortened where rho is given; else rho is lifted to `room` times what Z needs."""
        S = self.slack(Z, extras)
        spokes = S[self.d :, : self.d] / np.sqrt(np.diagonal(S)[self.d :, None])
        needed = room * float(np.linalg.norm(spokes, 2)) ** 2
        if self.rho is None:
            extras[-1] = max(extras[-1], needed)
        elif needed > self.rho:
            Z = Z * np.sqrt(self.rho / needed)
        return Z

    def resume(
        self, Z: Array, extras: Array, Y: Array, before: ArrowCone
    ) -> tuple[Array, Array, Array]:
        """Z, extras and multiplier from an iterate of `before`, the same LMI at other values.

        The multiplier keeps its pull on Z. Where the new shares need more rho it is lifted; where
        they or a new bound need more than is given, Z is shortened.
        """
        d, extras = self.d, extras.copy()
        if self.free and self.rho is None:
            return Z, extras, Y
        Z = self._inside(Z, extras, _MARGIN)
        ratio = np.append(before._scale0, before._scale) / np.append(self._scale0, self._scale)
        scale = np.concatenate([np.ones(d), ratio])
        return Z, extras, Y * (scale[:, None] * scale)

    def slack(self, Z: Array, extras: Array) -> Array:
        """S at a point."""
        S = self.linear(Z, extras)
        if self.rho is not None:
            S[self._hub, self._hub] = self.rho
        if self.free:
            S[self.d, self.d] += 4.0
        else:
            S[self._spokes, self._spokes] = 1.0
        return S

    def linear(self, Z: Array, extras: Array) -> Array:
        """S without its constant."""
        d, S = self.d, np.zeros((self.degree, self.degree))
        if self.rho is None:
            S[self._hub, self._hub] = extras[-1]
        S[:d, d + 1 :] = Z[:d] * self._scale
        S[:d, d] = Z[:d].sum(axis=1) * self._scale0
        S[d:, :d] = S[:d, d:].T
        if self.free:
            shares = 4.0 * extras[: self.g]
            S[d, d] = -shares.sum()
            S[self._spokes[1:], self._spokes[1:]] = shares
        return S

    def adjoint(self, Y: Array) -> tuple[Array, Array]:
        """Transpose of `linear`: Z (d + 1, g) and extras."""
        d = self.d
        Z = np.zeros((d + 1, self.g))
        Z[:d] = 2.0 * (Y[:d, d + 1 :] * self._scale + Y[:d, d : d + 1] * self._scale0)
        extras = np.empty(self.extras)
        if self.rho is None:
            extras[-1] = np.trace(Y[:d, :d])
        if self.free:
            diagonal = np.diagonal(Y)[d:]
            extras[: self.g] = 4.0 * (diagonal[1:] - diagonal[0])
        return Z, extras

    def centred(self, S: Array) -> Array:
        """The multiplier Y with S Y = I."""
        inverse = np.linalg.inv(S)
        return (inverse + inverse.T) / 2

    def mend(self, Y: Array) -> Array:
        """Y with its stationarity in the extras made exact, by a diagonal congruence.

        The congruence keeps Y in the cone and, to first order, its complementarity with S;
        what it changes shows in the residual of Z.
        """
        d, scale = self.d, np.ones(self.degree)
        if self.rho is None:
            scale[:d] = np.sqrt(self.cost[-1] / np.trace(Y[:d, :d]))
        if self.free:
            diagonal = np.diagonal(Y)[d:]
            scale[d:] = np.sqrt(diagonal[0] / diagonal)
        return Y * (scale[:, None] * scale)

    def scale(self, S: Array, Y: Array) -> None:
        """Set the scaling R with R^-1 S R^-T = R' Y R = diag(l), which all below use."""
        self._Rinv = np.eye(self.degree)
        self._rescale(S, Y)

    def advance(self, S: Array, multiplier: Array, step: float) -> Array:
        """Scale anew at slack S and at the multiplier moved by a scaled step; the latter.

        Working on the scaled matrices, whose eigenvalues are all near sqrt(mu), keeps the digits
        that factoring S and Y themselves, nearly singular at the end, would lose. The slack
        comes in afresh so that it cannot drift from the variables.
        """
        scaled = self.shrink(S)
        self._rescale((scaled + scaled.T) / 2, np.diag(self._l) + step * multiplier)
        right = self._Rinv.T * np.sqrt(self._l)
        return right @ right.T

    def _rescale(self, S: Array, Y: Array) -> None:
        self._scaling = Scaling(S, Y)
        self._l, self._Rinv = self._scaling.sigma, self._scaling.inverse @ self._Rinv
        self._W = self._Rinv.T @ self._Rinv

    def shrink(self, dS: Array) -> Array:
        """R^-1 dS R^-T, a slack in the scaled space."""
        return self._Rinv @ dS @ self._Rinv.T

    def unshrink(self, dY: Array) -> Array:
        """R^-T dY R^-1, a multiplier back from the scaled space."""
        return self._Rinv.T @ dY @ self._Rinv

    def target(self, mu: float, pair: tuple[Array, Array] | None) -> Array:
        """B with l o B = mu I - l^2 - the second-order term of a scaled `pair`."""
        return self._scaling.centre(mu, *(pair or ()))

    def recentred(self, pair: tuple[Array, Array], step: float, low: float, high: float) -> Array:
        """What to add to the target so that the products after `step` lie in [low, high]."""
        now = np.diag(self._l)
        product = (now + step * pair[0]) @ (now + step * pair[1])
        values, vectors = eigh((product + product.T) / 2, check_finite=False)
        shift = np.maximum(np.clip(values, low, high) - values, -high)
        return (vectors * shift) @ vectors.T * (2.0 / (self._l[:, None] + self._l))

    def longest(self, pair: tuple[Array, Array]) -> float:
        """The longest step for which slack and multiplier stay in the cone."""
        return min(map(self._scaling.longest, pair))

    def add_hessian(self, H: Array) -> None:
        """Add A* W^-1 A W^-1 to the upper triangle of H, in the order (Z by rows, extras)."""
        d, g, W = self.d, self.g, self._W
        size = (d + 1) * g
        left = W[d + 1 :] * self._scale[:, None] + W[d] * self._scale0
        across = left[:, d + 1 :] * self._scale + left[:, d : d + 1] * self._scale0
        hub, spoke = W[:d, :d], left[:, :d]
        across2, spoke2 = 2.0 * across, 2.0 * spoke
        for a in range(d):  # the blocks (a, b), b >= a, beside one another
            part = hub[a, a:, None] * across2[:, None]
            part += spoke2[:, a:, None] * spoke[:, a]
            H[a * g : (a + 1) * g, a * g : d * g] += part.reshape(g, -1)
        if self.rho is None:
            rho = H[: d * g, -1].reshape(d, g)
            rho += 2.0 * hub @ spoke.T
            H[-1, -1] += np.vdot(hub, hub)
        if not self.free:
            return
        q = slice(size, size + g)
        shares = W[d:, :d]
        for a in range(d):
            H[a * g : (a + 1) * g, q] += 8.0 * (
                left[:, d + 1 :] * shares[1:, a] - (left[:, d] * shares[0, a])[:, None]
            )
        squares = W[d:, d:] ** 2
        H[q, q] += 16.0 * (squares[1:, 1:] - squares[1:, :1] - squares[:1, 1:] + squares[0, 0])
        if self.rho is None:
            norms = (shares**2).sum(axis=1)
            H[q, -1] += 4.0 * (norms[1:] - norms[0])
