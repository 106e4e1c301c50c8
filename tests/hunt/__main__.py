"""The long hunt: `python tests/hunt/__main__.py`, an hour unless LIPSNN_HUNT_SECONDS says less."""

import os
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    os.environ.setdefault("LIPSNN_HUNT_SECONDS", "3600")
    sys.exit(pytest.main([str(Path(__file__).parent)]))
