"""The gradient of a bound by the weights, with the increments of its certificate held (fact H).

Danskin's: ``dL/dW_i = (alpha + beta) T X_{i+1,i} / L - 2 alpha beta T W_i X_ii / L`` and
``dL/dW_l = W_l X_ll / L``, X_ij = F_i F_j'. With one hidden layer and one output, P held, the
derivative by zbar_i is ``P zbar_i / (2 |R'zbar_i|) + P zbar_0 / (2 |R'zbar_0|)``. A term of length
zero, where L has a kink, counts as zero: that is a subgradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.form import Form, lengths_of
from lipsnn.certificate.slopes import hub_shares, slopes


def gradient_of(certificate: Any, form: Form) -> tuple[Array, ...]:
    """By W_0 .. W_l; `form` is the certificate's, with the units fixed that it fixes."""
    if not form.small:
        return _layered(certificate, form)
    problem, R = slopes(form), certificate.factor
    (W, outer), (alpha, beta) = form.weights, form.sectors[0]
    stacked = np.vstack([problem.sum, problem.scaled]) @ R
    lengths = lengths_of(stacked)
    stacked /= 2 * np.where(lengths > 0, lengths, np.inf)[:, None]
    gains, shares = form.gains[0][:, None], hub_shares(form)[:, None]
    by_slope = ((beta - alpha) * gains * stacked[1:] + shares * stacked[0]) @ R.T
    by_slope /= np.sum(R**2) ** 0.5
    return outer[0][:, None] * by_slope, np.einsum("ij,ij->i", W, by_slope)[None]


def _layered(certificate: Any, form: Form) -> tuple[Array, ...]:
    F = certificate.factors
    if len(F) < len(form.weights):  # a constant network, or no dual was found
        return tuple(np.zeros_like(weight) for weight in form.weights)
    size = certificate.bound * float(np.sum(F[0] ** 2))
    after = form.weights[-1] @ F[-1]
    found = [after @ F[-1].T / size]
    for i, (alpha, beta) in reversed(list(enumerate(form.sectors))):
        t = certificate.layers[i]
        t = np.where(np.isfinite(t), t, 0.0)[:, None]
        own = t * ((alpha + beta) * F[i + 1] - 2 * alpha * beta * (form.weights[i] @ F[i]))
        if not form.all_free:  # one slope, or the middle of a sector, hands on what is asked for
            passed = np.nan_to_num(form.fixed[i])[:, None] * (form.weights[i + 1].T @ after)
            own = np.where(form.free[i][:, None], own, 0.0) + passed
        found.append(own @ F[i].T / size)
        after = own
    return tuple(reversed(found))
