"""``python -m lipsnn``: the command line of `lipsnn.cli`."""

import sys

from lipsnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
