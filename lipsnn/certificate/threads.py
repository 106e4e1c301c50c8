"""Small dense algebra runs on one BLAS thread.

Two BLAS pools of two threads each (numpy's and scipy's) were seen to slow matrices of a few
hundred rows tenfold, and process workers would oversubscribe the cores.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

F = TypeVar("F", bound=Callable[..., Any])


@functools.cache
def _controller() -> ThreadpoolController:
    """The loaded BLAS libraries, looked up once: the search costs milliseconds."""
    import scipy.linalg  # noqa: F401  its pool must be loaded to be found

    return ThreadpoolController()


def one_blas_thread(function: F) -> F:
    """Decorate `function` to run its linear algebra on one BLAS thread (about 10 microseconds)."""

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        with _controller().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited  # type: ignore[return-value]
