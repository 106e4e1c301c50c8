"""Re-check a certificate without any solver: ``lipsnn verify certificate.json``.

Exits with 0 and the proved bound, or with 1 and the reason why there is none.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lipsnn.certificate.document import checked


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `run`."""
    parser.add_argument("certificate", type=Path, help="a file written by Certificate.to_json")
    parser.add_argument(
        "--network",
        type=Path,
        help=".npz or .json as lipsnn.files.write_network writes it, for a certificate without its "
        "network or to check that it is the one inside",
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(options: argparse.Namespace) -> int:
    """Read, check the hashes, prove; the exit code."""
    try:
        says, why = checked(options.certificate, options.network), None
    except (ValueError, TypeError, OSError) as error:
        says, why = None, f"rejected: {error}"
    if options.json:
        print(json.dumps({"proved": why is None, "says": says or why}))
    else:
        print(says or why, file=sys.stdout if says else sys.stderr)
    return 0 if says else 1


def main(given: list[str] | None = None) -> int:
    """Run the command line of this module alone."""
    parser = argparse.ArgumentParser(prog="python -m lipsnn.verify", description=__doc__)
    arguments(parser)
    return run(parser.parse_args(given))


if __name__ == "__main__":
    sys.exit(main())
