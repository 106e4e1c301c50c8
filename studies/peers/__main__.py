"""`python -m studies.peers`: clean and attacked errors at equal certified bound."""

import sys

from studies.peers.study import main

if __name__ == "__main__":
    sys.exit(main())
