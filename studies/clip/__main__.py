"""`python -m studies.clip table|regression|stability`: CLIP's experiments."""

import sys

from studies.clip import regression, stability, table1
from studies.common.command import dispatch

COMMANDS = {"table": table1.main, "regression": regression.main, "stability": stability.main}

if __name__ == "__main__":
    sys.exit(dispatch("clip", COMMANDS))
