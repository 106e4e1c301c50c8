"""The command line: ``lipsnn certify``, ``refine`` and ``verify``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lipsnn import verify

_CODES = """
exit codes:
  0    done: the bound holds, the network is refined, the certificate is proved
  1    not so: no finite bound, nothing improved, or the certificate is rejected
  2    the arguments or the files are wrong; one line says what to do
  130  interrupted by Ctrl-C; refine has then written the best network so far
"""
_TOP = """Lipschitz certificates and convex refinement of ReLU networks.

  lipsnn certify net.pt --output certificate.json
  lipsnn verify certificate.json
  lipsnn refine net.pt data.csv --target price --strength 1 --output better.pt

NET is .npz or .json (weights (m, d + 1) with the bias last, outer (m,), offset), .npz by layers
(weights_0, biases_0, weights_1, ...), .pt (a state dict), .pt2 (torch.export) or .onnx. In Python
lipsnn.files.write_network(net, "net.npz") writes any network that the library takes.
"""
_CERTIFY = """An upper bound L on the Lipschitz constant: |f(x) - f(x')| <= L |x - x'|.

  lipsnn certify net.npz
  lipsnn certify net.pt2 --json | jq .bound
  lipsnn certify net.onnx --method lmi --solver SCS
  lipsnn certify state.pt --activation tanh --output certificate.json
  lipsnn certify net.npz --ball x.csv --radius 0.1

With --ball it holds in the ball around each row of a table of inputs (a header, then the rows).
"""
_REFINE = """Lower  loss + STRENGTH L^2,  or the loss under  L <= BOUND,  by convex programs.

The result is never worse on this objective, which is about DATA; whether the error on new data is
smaller is for you to measure.

  lipsnn refine net.npz train.csv --target price --strength 1 --output better.npz
  lipsnn refine net.pt train.parquet --target y --strength 0.1 --method walk --output better.pt
  lipsnn refine net.npz train.csv --target price --bound own --output better.npz

DATA is .csv with a header, .parquet, or .npz (X (n, d) and the target by its name), scaled as the
network was trained on it; every column but the target is an input, in the network's order.
"""


def main(given: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = _command(argparse.ArgumentParser(prog="lipsnn"), _TOP)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    certify = _command(
        commands.add_parser("certify", help="bound the Lipschitz constant"), _CERTIFY
    )
    certify.set_defaults(run=_certify)
    _network(certify)
    certify.add_argument("--method", default="auto", help='"lmi" is the program as printed')
    certify.add_argument("--solver", help='of CVXPY, for --method "lmi"')
    certify.add_argument("--tol", type=float, default=1e-7, help="relative gap (default 1e-7)")
    certify.add_argument("--ball", type=Path, metavar="X", help="centres: .csv, .parquet or .npz")
    certify.add_argument("--radius", type=float, help="of the balls, in the l2 norm")
    certify.add_argument("--output", type=Path, help="write the certificate, for lipsnn verify")

    refine = commands.add_parser("refine", help="improve a trained network")
    _command(refine, _REFINE)
    refine.set_defaults(run=_refine)
    _network(refine)
    refine.add_argument("data", type=Path, metavar="DATA")
    refine.add_argument("--target", required=True, metavar="COLUMN")
    price = refine.add_mutually_exclusive_group(required=True)
    price.add_argument("--strength", type=float, help="lambda, positive")
    price.add_argument("--bound", type=_bound, help='largest L, or "own": not above that of NET')
    refine.add_argument(
        "--output", required=True, type=Path, metavar="NET2", help=".npz, .json or .pt"
    )
    refine.add_argument(
        "--method", help="joint, alternating, walk, polish; for deep networks layers, polish"
    )
    refine.add_argument("--regularizer", default="lipschitz", help="lipschitz or l2")
    refine.add_argument(
        "--reduction", default="sum", help="of the loss over the rows: sum (the paper's) or mean"
    )
    refine.add_argument(
        "--loss", default="squared", help="squared, huber, logistic or cross_entropy"
    )
    refine.add_argument("--solver", help="structured, reference, or one of CVXPY")

    check = commands.add_parser("verify", help="prove a certificate, without any solver")
    _command(check, f"{verify.__doc__}").set_defaults(run=verify.run)
    verify.arguments(check)

    options = parser.parse_args(given)
    logging.basicConfig(format="%(message)s")
    try:
        code: int = options.run(options)
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        says = " ".join(str(error).split()) or type(error).__name__
        print(f"lipsnn {options.command}: {says}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _command(parser: argparse.ArgumentParser, teaches: str) -> argparse.ArgumentParser:
    parser.description, parser.epilog = teaches, _CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def _bound(given: str) -> float | str:
    return given if given == "own" else float(given)


def _network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", type=Path, metavar="NET")
    parser.add_argument(
        "--activation", default="relu", help="where NET has weights alone (default relu)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _certify(options: argparse.Namespace) -> int:
    from lipsnn import certify, files

    if (options.ball is None) != (options.radius is None):
        raise ValueError("give --ball and --radius together")
    net = files.read_network(options.net, options.activation)
    settings = {"method": options.method, "solver": options.solver, "tol": options.tol}
    if options.ball is None:
        found = certify(net, **settings)
    else:
        several = certify(net, **settings, ball=(files.read_data(options.ball)[0], options.radius))
        if len(several) > 1:
            return _certified_balls(several, options)
        found = several[0]
    if options.output is not None:
        options.output.write_text(found.to_json())
    fields = ("bound", "lower", "gap", "status", "method", "solver", "seconds")
    _show({"network": repr(net)} | {name: getattr(found, name) for name in fields}, options.json)
    return int(not found.bound < float("inf"))


def _certified_balls(found: list[Any], options: argparse.Namespace) -> int:
    """A line, or an object, for each ball."""
    if options.output is not None:
        raise ValueError(f"--output takes one certificate, --ball has {len(found)} centres")
    rows = [
        {"sample": k, "bound": c.bound, "lower": c.lower, "status": str(c.status)}
        for k, c in enumerate(found)
    ]
    if options.json:
        print(_json(rows))
    else:
        print("sample,bound,lower,status")
        print("\n".join(",".join(map(str, row.values())) for row in rows))
    return int(not all(c.bound < float("inf") for c in found))


def _refine(options: argparse.Namespace) -> int:
    from lipsnn import files, refine
    from lipsnn.losses import as_loss

    if options.output.suffix.lower() not in files.WRITTEN:
        raise ValueError(f"--output must end in one of {', '.join(files.WRITTEN)}")
    if not options.output.parent.is_dir():
        raise ValueError(f"--output: there is no folder {options.output.parent}")
    net = files.read_network(options.net, options.activation)
    X, y = files.read_data(options.data, options.target)
    how = ("strength", "regularizer", "method", "solver", "bound", "reduction", "loss")
    result = refine(net, X, y, **{name: getattr(options, name) for name in how})
    files.write_network(result.net, options.output)
    shown: dict[str, Any] = {
        "network": repr(result.net),
        "objective before": result.initial_objective,
        "objective": result.objective,
    }
    for when, one in {" before": net, "": result.net}.items():
        if as_loss(options.loss).classifies:
            shown[f"accuracy{when}"] = float((one(X).argmax(axis=1) == y).mean())
        else:
            shown[f"mean squared error{when}"] = float(((one(X).reshape(y.shape) - y) ** 2).mean())
    if result.certificate is not None and result.initial_certificate is not None:
        shown["bound before"] = result.initial_certificate.bound
        shown["bound"] = result.certificate.bound
    shown |= {name: getattr(result, name) for name in ("status", "method", "solver", "seconds")}
    _show({**shown, "output": str(options.output)}, options.json)
    if result.status == "interrupted":
        return 130
    return int(result.status.startswith("not improved"))


def _json(content: Any) -> str:
    """JSON has no numbers that are not finite: null stands for them."""
    found = json.loads(json.dumps(content), parse_constant=lambda _: None)
    return json.dumps(found)


def _show(values: Mapping[str, Any], as_json: bool) -> None:
    """A table of two columns, or JSON with the same names."""
    if as_json:
        print(_json({name.replace(" ", "_"): value for name, value in values.items()}))
        return
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name:{width}}  {f'{value:.8g}' if isinstance(value, float) else value}")


if __name__ == "__main__":
    sys.exit(main())
