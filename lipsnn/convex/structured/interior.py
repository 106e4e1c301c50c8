"""The interior-point method: Mehrotra's predictor and corrector with Nesterov-Todd scaling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.convex.progress import Pulse
from lipsnn.convex.structured.loss import Loss
from lipsnn.convex.structured.newton import Direction, Iterate, Newton, Residuals
from lipsnn.convex.structured.rows import Rows

# Share of the way to the boundary of the cones that a step may take. On degenerate restrictions
# rounding may stop the first just short of the tolerance; the next then starts again.
_BACKOFFS = (0.95, 0.9, 0.8)
# Centring after a predictor that may go a share `a` of the way: (1 - a) to this power.
_POWER = 5
# Further corrections per step (Gondzio), each aiming this much further and pulling the products
# of slacks and multipliers into [low, high] times their target; one must lengthen the step by
# this share of the aim to be followed by another. They save a quarter of the iterations.
_CORRECTIONS, _AHEAD, _LOW, _HIGH, _GAIN = 2, 0.5, 0.1, 5.0, 0.1
# No step is longer.
_FAR = 1e6
# Steps this long need no further correction.
_LONG = 0.9
# Where the method starts: the least slack of a row at unit scale, and the least size of a unit of
# the known network, relative to their mean.
_START_SLACK, _LEAST = 0.1, 0.1
# A guess beyond this, at unit scale, is no start: its squares may overflow.
_HUGE = 1e100
# Kept for warm starts is the first iterate with this gap whose products of slack and multiplier
# are all at least this share of their mean: later or less central ones save nothing.
_KEEP, _CENTRAL = 1e-1, 0.1
# A program is near enough for a warm start if its gap there is at most this, and its cost of rho
# within this share of the one before. The start is given up after so many steps all this short.
_WARM_GAP, _WARM_COST = 0.5, 0.5
_PATIENCE, _SHORT = 6, 0.3
# All rows are checked when the gap first passes these, and those violated by more than this share
# of the gap enter; up to the third value the iterate is held for a return. At the end rows may be
# violated by this share of the tolerance.
_CHECKS, _VIOLATED, _HELD, _FINAL = (1e-1, 1e-3, 1e-5), 1e-3, 1e-3, 0.1
# Gap below which the iterate with the least error is kept, not the last.
_NEAR = 1e-4
# Accuracy up to which a stalled solve is "optimal_inaccurate" and not a "numerical_error".
_INACCURATE = 1e-6
# The gap is relative to the objective, or to this share of its value at zero weights if that is
# more: constant targets can be fitted at no cost at all.
_FLOOR = 1e-6


def solve(
    loss: Loss, rows: Rows, cone: Any, tol: float, max_iterations: int, warm: Iterate | None
) -> Iterate:
    """Minimise the loss plus the cost of `cone` under it and all rows, of which `rows` carries few.

    The gap counts multipliers of rows that are not carried as zero: a bound whichever these are.
    Data are expected at unit scale: counts that sum to 1 and targets of unit mean square. `warm` is
    an iterate of the same rows; it is used if it is near enough.
    """
    search = _Search(loss, rows, cone)
    warm = warm if warm is not None and search.near(warm) else None
    found, taken = [], 0
    for backoff in _BACKOFFS if warm is None else (_BACKOFFS[0], *_BACKOFFS):
        found.append(_attempt(search, tol, max_iterations - taken, warm, backoff))
        taken += found[-1].iterations
        if found[-1].status in ("optimal", "iteration_limit"):
            break
        warm = None
    return replace(min(found, key=lambda one: one.error), iterations=taken)


def _attempt(
    search: _Search, tol: float, max_iterations: int, warm: Iterate | None, backoff: float
) -> Iterate:
    search.start(warm)
    now = best = search.measure()
    held = kept = None
    checks = [check for check in _CHECKS if check < best.gap]
    status, taken, short = "iteration_limit", 0, 0
    pulse = Pulse("interior method: %d iterations, gap %.1e")
    while True:
        if best.error <= tol:
            violation = search.admit(_FINAL * tol)
            if not search.lacking:
                status = "optimal"
                break
            if held is not None:
                search.start(held)
            search.enter()
            now = best = search.measure()
            checks = [check for check in _CHECKS if check < best.gap]
        if kept is None and best.gap <= _KEEP:
            kept = now if (now.s * now.multipliers).min() >= _CENTRAL * search.row_mu else None
        if taken >= max_iterations:
            break
        taken += 1
        stalled = "numerical_error" if best.error > _INACCURATE else "optimal_inaccurate"
        try:
            length = search.step(backoff)
            now = search.measure()
            finite = np.isfinite(now.error)
        except np.linalg.LinAlgError:
            finite = False
        if not finite:
            status = stalled
            break
        if checks and now.gap <= checks[0]:
            search.admit(_VIOLATED * now.gap)
            if search.lacking:
                search.enter()
                now = best = search.measure()
            if checks[0] >= _HELD:
                held = now
            checks = [check for check in checks if check < now.gap]
        # on the way down single measures may rise, near the end the best point counts
        if now.error <= best.error or best.gap > _NEAR:
            best = now
        elif now.gap < 0.01 * tol:  # far past the gap that was asked for, residuals only grow
            status = stalled
            break
        short = short + 1 if length < _SHORT else 0
        if warm is not None and short >= _PATIENCE and taken == short:
            status = "cold"
            break
        pulse(taken, now.gap)
    if status != "optimal":
        violation = search.admit(np.inf, best.Z)
    best.primal_residual = max(best.primal_residual, violation)
    best.status, best.iterations, best.warm = status, taken, kept
    return best


class _Search:
    """The current iterate: (Z, extras), row slacks s and multipliers lam, cone slack S and Y."""

    def __init__(self, loss: Loss, rows: Rows, cone: Any) -> None:
        self.loss, self.rows, self.cone = loss, rows, cone
        self.newton = Newton(loss, rows, cone)

    def near(self, warm: Iterate) -> bool:
        """Whether this program may start from there."""
        self.start(warm)
        if not self.measure().gap <= _WARM_GAP:
            return False
        cost = self.cone.cost.max(initial=0.0)
        return not cost or np.abs(self.residuals.extras).max() <= _WARM_COST * cost

    def start(self, warm: Iterate | None) -> None:
        """Go to an iterate that was kept, or to the method's own start."""
        if warm is None:
            self._cold()
            return
        self.s, self.lam = warm.s.copy(), warm.multipliers.copy()
        self.Z, self.extras, self.Y = warm.Z, warm.extras, warm.Y
        if warm.cone is not self.cone:
            self.Z, self.extras, self.Y = self.cone.resume(warm.Z, warm.extras, warm.Y, warm.cone)
        self.S = self.cone.slack(self.Z, self.extras)
        self.cone.scale(self.S, self.Y)
        self.row_mu = float(np.vdot(self.s, self.lam)) / self.s.size
        self.enter()

    def admit(self, cut: float, Z: Array | None = None) -> float:
        """Check all rows; the largest violation of one not carried, relative to the slacks."""
        size = max(1.0, float(np.abs(self.s).max()))
        return self.rows.admit(self.Z if Z is None else Z, cut * size) / size

    @property
    def lacking(self) -> bool:
        """Whether rows are carried that have no slack and multiplier yet."""
        return self.s.shape[1] < self.rows.shape[1]

    def enter(self) -> None:
        """Give them theirs."""
        if self.lacking:
            outside = np.abs(self.rows.slack(self.Z)[:, self.s.shape[1] :])
            slack = np.maximum(outside, np.sqrt(self.row_mu))
            self.s = np.concatenate([self.s, slack], axis=1)
            self.lam = np.concatenate([self.lam, self.row_mu / slack], axis=1)

    def _cold(self) -> None:
        rows, cone = self.rows, self.cone
        self.Z, self.extras = cone.start(np.zeros((rows.p, rows.g)))
        guess = None if rows.inside is None else self.loss.fitted(rows.inside, _LEAST)
        if guess is not None and np.abs(guess).max() < _HUGE:
            known = cone.start(guess)
            if self._objective(*known) < self._objective(self.Z, self.extras):
                self.Z, self.extras = known
        self.S = cone.slack(self.Z, self.extras)
        centred = cone.centred(self.S)
        # on the central path, at the level where the cone meets its cost on average, but not
        # below what the rows need to balance a gradient of the loss of order one
        pulled = cone.adjoint(centred)[1]
        level = cone.cost.sum() / pulled[cone.cost > 0].sum() if cone.cost.any() else 0.0
        mu = max(level, 0.1 / rows.shape[1])
        self.Y = mu * centred
        self.s = np.maximum(rows.slack(self.Z), _START_SLACK)
        self.lam = mu / self.s
        cone.scale(self.S, self.Y)

    def _objective(self, Z: Array, extras: Array, curved: Array | None = None) -> float:
        curved = self.loss.curve(Z) if curved is None else curved
        quadratic = 0.5 * float(np.vdot(Z, curved)) - float(np.vdot(self.loss.linear, Z))
        return quadratic + self.loss.constant + float(self.cone.cost @ extras)

    def measure(self) -> Iterate:
        """Residuals of the current point, kept for the next step, and its optimality."""
        loss, rows, cone = self.loss, self.rows, self.cone
        curved = loss.curve(self.Z)
        gradient = curved - loss.linear - rows.slack_adjoint(self.lam)
        fixed, pulled = cone.adjoint(self.Y)
        self.residuals = Residuals(
            gradient - fixed, cone.cost - pulled, self.s - rows.slack(self.Z)
        )
        complementarity = float(np.vdot(self.s, self.lam))
        self.row_mu = complementarity / self.s.size
        self.cone_mu = float(np.vdot(self.S, self.Y)) / cone.degree
        Y = cone.mend(self.Y)
        value = self._objective(self.Z, self.extras, curved)
        violation = np.abs(self.residuals.rows).max() / max(1.0, np.abs(self.s).max())
        return Iterate(
            Z=self.Z,
            extras=self.extras,
            s=self.s.copy(),
            multipliers=self.lam.copy(),
            Y=self.Y,
            cone=cone,
            value=value,
            gap=(complementarity + float(np.vdot(self.S, Y))) / max(value, _FLOOR * loss.constant),
            primal_residual=float(violation),
            dual_residual=float(
                np.abs(gradient - cone.adjoint(Y)[0]).max() / np.abs(loss.linear).max()
            ),
        )

    def step(self, backoff: float) -> float:
        """Predict, choose the centring from how far that gets, correct, and move; how far."""
        cone, s, lam = self.cone, self.s, self.lam
        self.newton.factor(lam / s)
        toward = cone.target(0.0, None)
        guess = self.newton.direction(self.residuals, -lam, toward, refined=False)
        centring = (1.0 - min(1.0, self._longest(guess))) ** _POWER
        # rows and cone each from where they are: one of them may lag far behind the other
        mu, cone_mu = centring * self.row_mu, centring * self.cone_mu
        row_target = (mu - guess.slack * guess.multiplier) / s - lam
        target = cone.target(cone_mu, guess.pair)
        move = self.newton.direction(self.residuals, row_target, target)
        length = self._longest(move)
        for _ in range(_CORRECTIONS):
            if length >= _LONG:
                break
            aim = min(1.0, length + _AHEAD)
            products = (s + aim * move.slack) * (lam + aim * move.multiplier)
            shift = np.clip(products, _LOW * mu, _HIGH * mu) - products
            row_target = row_target + np.maximum(shift, -_HIGH * mu) / s
            target = target + cone.recentred(move.pair, aim, _LOW * cone_mu, _HIGH * cone_mu)
            other = self.newton.direction(self.residuals, row_target, target)
            before, longer = length, self._longest(other)
            if longer > length:
                move, length = other, longer
            if longer < before + _GAIN * (aim - before):
                break
        if not np.isfinite(length):
            raise np.linalg.LinAlgError("the Newton direction is not finite")
        length = min(1.0, backoff * length)
        self.Z = self.Z + length * move.Z
        self.extras = self.extras + length * move.extras
        s += length * move.slack
        lam += length * move.multiplier
        self.S = cone.slack(self.Z, self.extras)
        self.Y = cone.advance(self.S, move.pair[1], length)
        return length

    def _longest(self, move: Direction) -> float:
        ratio = max((-move.slack / self.s).max(), (-move.multiplier / self.lam).max())
        rows = _FAR if ratio <= 0 else 1.0 / float(ratio)
        return min(rows, self.cone.longest(move.pair), _FAR)
