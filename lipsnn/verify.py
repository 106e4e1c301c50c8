"""Re-check a certificate without any solver: ``python -m lipsnn.verify certificate.json``.

Exits with 0 and the proved bound, or with 1 and the reason why there is none.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lipsnn.certificate.document import checked


def main(arguments: list[str] | None = None) -> int:
    """Read, check the hashes, prove."""
    parser = argparse.ArgumentParser(prog="python -m lipsnn.verify", description=__doc__)
    parser.add_argument("certificate", type=Path, help="a file written by Certificate.to_json")
    parser.add_argument(
        "--network",
        type=Path,
        help=".npz or .json with weights (m, d + 1), outer (m,) and offset, or the weights, biases "
        "and activations of a deeper network, "
        "for a certificate without its network or to check that it is the one inside",
    )
    options = parser.parse_args(arguments)
    try:
        print(checked(options.certificate, options.network))
    except (ValueError, OSError) as error:
        print(f"rejected: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
