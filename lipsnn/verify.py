"""Re-check a certificate without any solver: ``lipsnn verify certificate.json``.

Exits with 0 and the proved bound, with 1 and the reason why there is none, or with 2 where a file
cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from lipsnn.certificate import Certificate, ExactConstant
from lipsnn.certificate.document import or_no_proof, read
from lipsnn.certificate.lifted import Errors
from lipsnn.files import read_network
from lipsnn.network import ShallowNet


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `run`."""
    parser.add_argument("certificate", type=Path, help="a file written by to_json")
    parser.add_argument(
        "--network",
        type=Path,
        help="a file such as lipsnn.files.write_network writes, for a certificate without its "
        "network or to check that it is the one inside",
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(options: argparse.Namespace) -> int:
    """Read, check the hashes, prove; the exit code."""
    try:
        says, why = _proved(options.certificate, options.network), None
    except (ValueError, TypeError) as error:
        says, why = None, f"rejected: {error}"
    if options.json:
        print(json.dumps({"proved": why is None, "says": says or why}))
    else:
        print(says or why, file=sys.stdout if says else sys.stderr)
    return 0 if says else 1


def _proved(path: Path, network: Path | None) -> str:
    """One sentence with what the certificate is proved to say: see `Certificate.verify`."""
    net = None if network is None else read_network(network)
    content = read(path)
    kinds = {kind.SCHEMA: kind for kind in (ExactConstant, Errors)}
    schema = content.get("schema") if isinstance(content, dict) else None
    certificate: Any = kinds.get(f"{schema}", Certificate).from_content(content, net)
    with or_no_proof("the proof failed: "):
        proved = certificate.verify()
    net = certificate.net
    units = net.width if isinstance(net, ShallowNet) else " + ".join(map(str, net.widths))
    which = f"for a network of {units} units and {net.dim} inputs"
    if isinstance(certificate, Errors):
        norm = "l2" if certificate.norm == 2 else "l-infinity"
        what = "mean squared error" if net.outputs == 1 else "share of wrong classes"
        by_radius = proved.groupby("radius")["upper"]
        means = [f"{_above(own)} at radius {radius!r}" for radius, own in by_radius]
        return (
            f"proved: no attack in the {norm} norm on {len(certificate.X)} samples gives a {what} "
            f"above {', '.join(means)}, {which}"
        )
    where = f"on {certificate.region} " if certificate.region is not None else ""
    exact = isinstance(certificate, ExactConstant)
    below = "no diagonal multipliers prove less than" if not exact else "a slope there is at least"
    return (
        f"proved: |f(x) - f(x')| <= {proved!r} |x - x'| {where}{which}; "
        f"{below} {certificate.lower!r} ({certificate.status})"
    )


def _above(errors: Any) -> str:
    """Six digits of a mean, rounded up."""
    mean = sum(map(Fraction, errors), Fraction(0)) / len(errors)
    whole = Context(prec=6, rounding=ROUND_CEILING)
    return f"{float(whole.divide(Decimal(mean.numerator), Decimal(mean.denominator))):.6g}"


def main(given: list[str] | None = None) -> int:
    """Run the command line of this module alone."""
    parser = argparse.ArgumentParser(prog="python -m lipsnn.verify", description=__doc__)
    arguments(parser)
    try:
        return run(parser.parse_args(given))
    except OSError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
