"""`python -m studies.letter plane|mnist`: the letter's examples."""

import sys

from studies.common.command import dispatch
from studies.letter import mnist, plane

if __name__ == "__main__":
    sys.exit(dispatch("letter", {"plane": plane.main, "mnist": mnist.main}))
