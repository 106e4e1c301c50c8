"""Small dense algebra on one BLAS thread, given back when the last of the calls is over.

Two BLAS pools of two threads each (numpy's and
scipy's) were seen to slow matrices of a few hundred rows tenfold, and process workers would
oversubscribe the cores. The number of BLAS threads belongs to the process, not to a thread, so
that calls side by side must not restore each other's.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

F = TypeVar("F", bound=Callable[..., Any])

_lock = threading.Lock()
_inside: list[Any] = [0, None]  # calls that are running, and the limits they run under


@functools.cache
def _controller() -> ThreadpoolController:
    """The loaded BLAS libraries, looked up once: the search costs milliseconds."""
    import scipy.linalg  # noqa: F401  its pool must be loaded to be found

    return ThreadpoolController()


def one_blas_thread(function: F) -> F:
    """Decorate `function` to run its linear algebra on one BLAS thread (about 10 microseconds).

    The first of the calls that run at the same time sets the limit, the last one lifts it.
    """

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        with _lock:
            if _inside[0] == 0:
                _inside[1] = _controller().limit(limits=1, user_api="blas")
            _inside[0] += 1
        try:
            return function(*args, **kwargs)
        finally:
            with _lock:
                _inside[0] -= 1
                if _inside[0] == 0:
                    _inside[1].restore_original_limits()

    return limited  # type: ignore[return-value]
