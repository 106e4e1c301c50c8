"""`python -m studies.meeting`: all systems on the same network and data."""

import sys

from studies.meeting.study import main

if __name__ == "__main__":
    sys.exit(main())
