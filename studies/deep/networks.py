"""The networks that are refined, the same methods for both tables, and what both are judged by."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle, pairwise
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate import certify
from lipsnn.convex.objective import loss as loss_of
from lipsnn.convex.polish import STEP_SIZES, balanced
from lipsnn.losses import as_loss
from lipsnn.network import Network
from lipsnn.train.deep import descend

TOL = 1e-5  # of `refine`: what a turn must bring, relatively


def drawn(sizes: list[int], seed: int) -> Network:
    """A network at the start of training: normal weights (He et al. 2015), no biases."""
    rng = np.random.default_rng(seed)
    return Network([rng.normal(scale=np.sqrt(2 / a), size=(b, a)) for a, b in pairwise(sizes)])


def trained(
    sizes: list[int], X: Array, y: Array, loss: str, seed: int, decay: float, epochs: int
) -> Network:
    """The base: weight decay, by full-batch Adam."""
    net = drawn(sizes, seed)
    return descend(net, X, y, 0.0, loss, decay=decay, epochs=epochs, learning_rate=STEP_SIZES[0])


def value(net: Network, X: Array, y: Array, loss: str, strength: float) -> float:
    """The objective, evaluated afresh."""
    kind: Any = as_loss(loss)
    fit = loss_of(net, X, kind.targets(y, (net.outputs,)), kind=kind)
    return fit + strength * certify(net).bound ** 2


def descent(
    net: Network, X: Array, y: Array, loss: str, strength: float, epochs: int = 300
) -> Iterator[Network]:
    """Ever better networks by the certificate's gradient, in the turns of `polish` alone.

    The next finer step size when a turn brings nothing, and after the finest the coarsest again.
    """
    best, rates = value(net, X, y, loss, strength), cycle(STEP_SIZES)
    rate = next(rates)
    for turn in count():
        start, before = balanced(net, np.random.default_rng(turn)), best
        ahead = descend(start, X, y, strength, loss, epochs=epochs, learning_rate=rate)
        if (reached := value(ahead, X, y, loss, strength)) < best:
            net, best = ahead, reached
        yield net
        if before - best <= TOL * before:
            rate = next(rates)


def within(seconds: float, start: Network, steps: Callable[[], Iterator[Network]]) -> Network:
    """The last of `steps` that came within so many seconds of CPU time; `start` if none did.

    `refine` hands out its best network when it is interrupted, as by this clock.
    """

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        for net in steps():
            start = net
            if signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0:
                break
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return start


def timed(function: Callable[[], Network]) -> tuple[Network, float]:
    """A network and the CPU seconds that it took."""
    begun = time.process_time()
    return function(), time.process_time() - begun
