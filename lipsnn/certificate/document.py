"""Certificates as JSON: what to send to somebody who trusts neither us nor the solver."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.proof import ProofError
from lipsnn.certificate.result import Certificate
from lipsnn.network import ShallowNet

SCHEMA = "lipsnn-certificate/1"
_FIELDS = ("bound", "lower", "status", "seconds", "iterations", "method", "solver")


def network_hash(net: ShallowNet) -> str:
    """sha256 of the shape and of the little-endian float64 bytes of weights, outer, offset."""
    digest = hashlib.sha256(np.array(net.weights.shape, dtype="<i8").tobytes())
    for array in (net.weights, net.outer, np.array(net.offset)):
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()


def to_json(certificate: Certificate, network: bool = True) -> str:
    """The certificate as JSON text; without the weights, only with their hash, if not `network`."""
    net = certificate.net
    content: dict[str, Any] = {"schema": SCHEMA, "network_sha256": network_hash(net)}
    if network:
        content["network"] = {
            "weights": net.weights.tolist(),
            "outer": net.outer.tolist(),
            "offset": net.offset,
        }
    content |= {name: getattr(certificate, name) for name in _FIELDS}
    content["multipliers"] = certificate.multipliers.tolist()
    content["factor"] = certificate.factor.tolist()
    content["sha256"] = _digest(content)
    return json.dumps(content) + "\n"


def from_json(text: str, net: ShallowNet | None = None) -> Certificate:
    """The certificate in `text`, its hashes checked; `net` where the weights are not inside.

    Raises
    ------
    ProofError
        If the text is no certificate, was changed, or belongs to another network.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ProofError(f"not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ProofError(f"not a certificate of schema {SCHEMA!r}")
    stated = content.pop("sha256", None)
    if stated != _digest(content):
        raise ProofError("the content was changed: its sha256 is not the one stated")
    try:
        if "network" in content:
            inside = ShallowNet(**content["network"])
            if net is not None and network_hash(net) != network_hash(inside):
                raise ProofError("the network given is not the one inside the certificate")
            net = inside
        if net is None:
            raise ProofError("the weights are not inside: give the network beside the certificate")
        if network_hash(net) != content["network_sha256"]:
            raise ProofError("the weights are not those of the certificate: their sha256 differs")
        numbers = {name: float(content[name]) for name in ("bound", "lower", "seconds")}
        return Certificate(
            net=net,
            multipliers=_array(content["multipliers"], 1),
            factor=_array(content["factor"], 2),
            **{name: content[name] for name in _FIELDS} | numbers,
        )
    except (KeyError, TypeError) as error:
        raise ProofError(f"a field is missing or malformed: {error}") from None


def read_network(path: str | Path) -> ShallowNet:
    """A network from .npz or .json with the entries weights, outer and, optionally, offset."""
    path = Path(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in arrays.files}
    else:
        content = json.loads(path.read_text())
    missing = {"weights", "outer"} - set(content)
    if missing:
        raise ValueError(f"{path.name} has no {' and no '.join(sorted(missing))}")
    return ShallowNet(content["weights"], content["outer"], content.get("offset", 0.0))


def _array(values: Any, ndim: int) -> Array:
    array = np.array(values, dtype=np.float64)
    if array.ndim != ndim:
        raise TypeError(f"expected {ndim} dimensions, got shape {array.shape}")
    return array


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
