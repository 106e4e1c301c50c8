"""Certificates as JSON: what to send to somebody who trusts neither us nor the solver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.certificate.proof import ProofError
from lipsnn.certificate.reader import Document
from lipsnn.certificate.region import region_from
from lipsnn.certificate.result import Certificate
from lipsnn.network import ShallowNet
from lipsnn.status import Status

SCHEMA = "lipsnn-certificate/2"
_NUMBERS = ("bound", "lower", "seconds", "tol")
_WORDS = ("status", "method", "solver")


def network_hash(net: Any) -> str:
    """sha256 of the shapes and of the little-endian float64 bytes of all that `net` consists of."""
    if isinstance(net, ShallowNet):
        digest = hashlib.sha256(np.array(net.weights.shape, dtype="<i8").tobytes())
        arrays = [net.weights, net.outer, np.array(net.offset)]
    else:
        digest = hashlib.sha256(json.dumps(activations_of(net)).encode())
        for weight in net.weights:
            digest.update(np.array(weight.shape, dtype="<i8").tobytes())
        arrays = [*net.weights, *net.biases]
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<f8").data)
    return digest.hexdigest()


def to_json(certificate: Certificate, network: bool = True) -> str:
    """The certificate as JSON text; without the weights, only with their hash, if not `network`."""
    net = certificate.net
    content: dict[str, Any] = {"schema": SCHEMA, "network_sha256": network_hash(net)}
    if network:
        content["network"] = content_of(net)
    for name in (*_NUMBERS, *_WORDS, "iterations"):
        value = getattr(certificate, name)
        # JSON has no infinite number
        content[name] = None if isinstance(value, float) and not np.isfinite(value) else value
    # a unit whose multiplier is not finite, because it does not act, has null
    content["multipliers"] = [
        [None if not np.isfinite(t) else t for t in own.tolist()] for own in certificate.layers
    ]
    if certificate.region is not None:
        content["region"] = certificate.region.content()
    content["factors"] = certificate.factors
    text = json.dumps(content, allow_nan=False, default=np.ndarray.tolist)
    digest = Document(text.encode()).digest()
    return f'{text[:-1]}, "sha256": "{digest}"}}\n'


def from_json(text: str | bytes | Path, net: Any = None) -> Certificate:
    """The certificate in `text`, its hashes checked; `net` where the weights are not inside.

    Raises
    ------
    ProofError
        If the text is no certificate, was changed, or belongs to another network.
    """
    if isinstance(text, Path):
        text = text.read_bytes()
    with _or_no_proof(""):
        document = Document(text.encode() if isinstance(text, str) else text)
    with _or_no_proof("a field is missing or malformed: "):
        return _certificate(document, net)


@contextmanager
def _or_no_proof(what: str) -> Iterator[None]:
    """Whatever numpy, zipfile, json and the proof say of a damaged or hostile file: no proof."""
    try:
        yield
    except (ProofError, OSError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ProofError(f"{what}{reason}") from None


def _certificate(document: Document, net: Any) -> Certificate:
    fields = document.fields
    if "schema" not in fields or document.get(fields["schema"]) != SCHEMA:
        raise ProofError(f"not a certificate of schema {SCHEMA!r}")
    if "sha256" not in fields or document.get(fields["sha256"]) != document.digest():
        raise ProofError("the content was changed: its sha256 is not the one stated")
    net = _network_of(document, net)
    words = {name: document.get(fields[name]) for name in _WORDS}
    beyond = words["status"] == Status.PRODUCT
    numbers = {name: _number(document.get(fields[name]), name, beyond) for name in _NUMBERS}
    iterations = document.get(fields["iterations"])
    if not all(isinstance(word, str) and word.isprintable() for word in words.values()):
        raise TypeError("status, method and solver must be strings of one line")
    if words["status"] in set(Status):
        words["status"] = Status(words["status"])  # type: ignore[call-arg]  # by its word
    elif not words["status"].startswith(f"{Status.SOLVER_ERROR}: "):
        raise ProofError(f"unknown status {words['status'][:80]!r}")
    if not (iterations is None or (type(iterations) is int and iterations >= 0)):
        raise TypeError("iterations must be a whole number")
    layers = document.get(fields["multipliers"])
    widths = [net.width] if isinstance(net, ShallowNet) else net.widths
    if len(layers) != len(widths):
        raise TypeError(f"{len(layers)} layers of multipliers for a network of {len(widths)}")
    t = tuple(_vector(own, np.nan if beyond else np.inf) for own in layers)
    return Certificate(
        net=net,
        multipliers=t[0] if isinstance(net, ShallowNet) else t,
        factors=tuple(_array(F, 2) for F in document.get(fields["factors"])),
        iterations=iterations,
        region=region_from(document.get(fields["region"]), net.dim) if "region" in fields else None,
        **numbers,  # type: ignore[arg-type]
        **words,
    )


def _network_of(document: Document, net: Any) -> Any:
    """The network inside, or `net`; its hash checked."""
    fields = document.fields
    wanted = document.get(fields["network_sha256"])
    # one hidden layer of ReLU units may be written by layers, and is certified as a `ShallowNet`
    if getattr(net, "is_shallow", False) and network_hash(net) != wanted:
        net = net.to_shallow()
    if "network" in fields:
        inside = network_from(document.get(fields["network"]))
        if net is not None and network_hash(net) != network_hash(inside):
            raise ProofError("the network given is not the one inside the certificate")
        net = inside
    if net is None:
        raise ProofError("the weights are not inside: give the network beside the certificate")
    if network_hash(net) != wanted:
        raise ProofError("the weights are not those of the certificate: their sha256 differs")
    return net


def content_of(net: Any) -> dict[str, Any]:
    """What `network_from` takes of a `ShallowNet` or a `Network`."""
    if isinstance(net, ShallowNet):
        return {"weights": net.weights, "outer": net.outer, "offset": net.offset}
    return {"weights": net.weights, "biases": net.biases, "activations": activations_of(net)}


def network_from(content: Any) -> Any:
    """A `ShallowNet` from weights, outer, offset; a `Network` from weights, biases, activations."""
    shallow, layered = {"weights", "outer"}, {"weights", "biases", "activations"}
    if not isinstance(content, dict) or not (shallow <= set(content) or layered <= set(content)):
        missing = shallow - set(content) if isinstance(content, dict) else shallow
        raise ValueError(f"the network has no {' and no '.join(sorted(missing))}")
    unknown = set(content) - (shallow | {"offset"} if "outer" in content else layered)
    if unknown:
        raise ValueError(f"the network has an unknown entry {min(unknown)!r}")
    if "outer" in content:
        offset = float(_array(content.get("offset", 0.0), 0))
        return ShallowNet(_array(content["weights"], 2), _array(content["outer"], 1), offset)
    from lipsnn.activations import Activation
    from lipsnn.network import Network

    return Network(
        [_array(weight, 2) for weight in content["weights"]],
        [_array(bias, 1) for bias in content["biases"]],
        [Activation(name, tuple(parameters)) for name, *parameters in content["activations"]],
    )


def read_network(path: str | Path, activation: str = "relu") -> Any:
    """A network from .npz or .json with the entries that `network_from` takes.

    Parameters
    ----------
    path : str or Path
        .npz may also have weights_0, biases_0, weights_1, ... and, as JSON text, activations.
    activation : str
        Of the hidden layers of such an .npz without activations.

    Raises
    ------
    ProofError
        If the file is damaged, or is no network.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() not in (".npz", ".json"):
        raise ProofError(
            f"{path.name} must end in .npz or .json: lipsnn.files.write_network writes both"
        )
    with _or_no_proof(f"{path.name} is not a network: "):
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                content = {name: arrays[name] for name in arrays.files}
            if "weights_0" in content:
                content = _by_layers(content, activation)
        else:
            document = Document(path.read_bytes())
            content = document.get(document.fields)
        return network_from(content)


def _by_layers(arrays: dict[str, Array], activation: str) -> dict[str, Any]:
    """What `network_from` takes, of one array for each layer."""
    count = sum(name.startswith("weights_") for name in arrays)
    weights = [arrays[f"weights_{k}"] for k in range(count)]
    given = arrays.get("activations")
    return {
        "weights": weights,
        "biases": [arrays.get(f"biases_{k}", np.zeros(len(W))) for k, W in enumerate(weights)],
        "activations": [[activation]] * (count - 1) if given is None else json.loads(str(given)),
    }


def activations_of(net: Any) -> list[list[Any]]:
    """Names and parameters of the activations of a `Network`, as `network_from` takes them."""
    return [[phi.name, *phi.parameters] for phi in net.activations]


def checked(path: str | Path, network: str | Path | None = None) -> str:
    """One sentence with what the certificate in a file is proved to say: see `Certificate.verify`.

    Parameters
    ----------
    path : str or Path
        A file written by `Certificate.to_json`.
    network : str or Path, optional
        A network for `read_network`, for a certificate without one or to check the one inside.

    Raises
    ------
    ProofError
        With the reason why there is no proof, whatever is in the files.
    OSError
        If a file cannot be read.
    """
    certificate = from_json(Path(path), None if network is None else read_network(network))
    with _or_no_proof("the proof failed: "):
        proved = certificate.verify()
    net = certificate.net
    where = f"on {certificate.region} " if certificate.region is not None else ""
    units = net.width if isinstance(net, ShallowNet) else " + ".join(map(str, net.widths))
    return (
        f"proved: |f(x) - f(x')| <= {proved!r} |x - x'| {where}for a network of {units} units and "
        f"{net.dim} inputs; no diagonal multipliers prove less than {certificate.lower!r} "
        f"({certificate.status})"
    )


def _number(value: Any, name: str, beyond: bool) -> float:
    if value is None and name == "bound" and beyond:
        return float("inf")
    if type(value) not in (int, float):
        raise TypeError(f"{name} must be a number")
    return float(value)


def _vector(values: Any, nothing: float) -> Array:
    """Multipliers; null is that of a unit that does not act."""
    if isinstance(values, list):
        values = [nothing if value is None else value for value in values]
    return _array(values, 1)


def _array(values: Any, ndim: int) -> Array:
    array = np.array(values)
    if array.ndim != ndim or array.dtype.kind not in "fiu":
        raise TypeError(f"expected numbers in {ndim} dimensions, got shape {array.shape}")
    return array.astype(np.float64)
