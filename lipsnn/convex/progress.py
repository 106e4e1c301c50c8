"""Progress where it lasts: a line every ten seconds through `logging`."""

from __future__ import annotations

import logging
import time
from typing import Any

SECONDS = 10.0


class Pulse:
    """Logs its message, at level INFO of the logger "lipsnn", every ten seconds of a long task."""

    def __init__(self, message: str) -> None:
        self._message, self._last = message, time.monotonic()

    def __call__(self, *values: Any) -> None:
        now = time.monotonic()
        if now - self._last >= SECONDS:
            self._last = now
            logging.getLogger("lipsnn").info(self._message, *values)
