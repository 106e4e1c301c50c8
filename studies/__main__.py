"""`python -m studies`: which committed results are what the present code would make."""

import sys

from studies.common.freshness import main

sys.exit(main())
