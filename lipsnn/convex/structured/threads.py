"""One BLAS pool at work: numpy and scipy bring one each, and they fight over the cores."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from threadpoolctl import threadpool_limits


@contextlib.contextmanager
def one_pool() -> Iterator[None]:
    """Limit BLAS threads while the method runs."""
    with threadpool_limits(1, user_api="blas"):
        yield
