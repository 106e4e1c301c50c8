"""`python -m studies.deep`: regression at equal CPU time, classes at equal certified bound."""

import sys

from studies.common.command import dispatch
from studies.deep import classes, regression

if __name__ == "__main__":
    sys.exit(dispatch("deep", {"regression": regression.main, "classes": classes.main}))
