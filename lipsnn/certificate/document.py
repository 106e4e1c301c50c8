"""Certificates as JSON: what to send to somebody who trusts neither us nor the solver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from lipsnn._checks import Array
from lipsnn.activations import Activation
from lipsnn.certificate.proof import ProofError
from lipsnn.certificate.region import Polytope, Region, regions
from lipsnn.convert import as_network
from lipsnn.network import Network, ShallowNet

# What is read takes some five times its bytes in memory, and an empty array twenty times.
_LARGEST, _ARRAYS = 2**29, 2**23


class Document:
    """What is about a `net`, and on a `region` of inputs, and is sent as JSON text."""

    SCHEMA: ClassVar[str]
    net: Any

    def to_json(self, path: str | Path | None = None, network: bool = True) -> str:
        """As JSON text, also written to `path`; with the hash of the weights only if not `network`.

        ``lipsnn verify FILE`` re-checks it without any solver.
        """
        whole: dict[str, Any] = {"schema": self.SCHEMA, "network_sha256": network_hash(self.net)}
        if network:
            whole["network"] = content_of(self.net)
        whole |= self._content()
        if (region := getattr(self, "region", None)) is not None:
            whole["region"] = region.content()
        text = _json(whole | {"sha256": content_hash(whole)}) + "\n"
        if path is not None:
            Path(path).write_text(text)
        return text

    @classmethod
    def from_json(cls, text: str | Path, net: Any = None) -> Self:
        """From JSON text, or from a file given as a Path; `net` if the weights are not inside.

        Raises
        ------
        ProofError
            If it is no such document, was changed, or belongs to another network.
        """
        return cls.from_content(read(text), net)

    @classmethod
    def from_content(cls, content: Any, net: Any) -> Self:
        """What `read` gives of such a document; a ProofError if it is none."""
        with or_no_proof("a field is missing or malformed: "):
            return cls._of(content, network_of(content, cls.SCHEMA, net))

    def _content(self) -> dict[str, Any]:
        """The fields beside the schema, the network and the region."""
        raise NotImplementedError

    @classmethod
    def _of(cls, content: dict[str, Any], net: Any) -> Self:
        """From the fields, and the network that they are about."""
        raise NotImplementedError


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


def content_hash(content: dict[str, Any]) -> str:
    """sha256 of a document without its field sha256: as JSON, keys sorted, no space between."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(_json(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _json(content: dict[str, Any], **options: Any) -> str:
    return json.dumps(content, allow_nan=False, default=np.ndarray.tolist, **options)


def read(text: str | Path) -> Any:
    """The content of a document; a ProofError if it is no JSON, or larger than any proof."""
    size = text.stat().st_size if isinstance(text, Path) else len(text)
    if size > _LARGEST:
        raise ProofError(f"larger than {_LARGEST >> 20} MiB: leave the network out of it")
    with or_no_proof("not JSON: "):
        if isinstance(text, Path):
            text = text.read_text(encoding="utf8", errors="replace")
        if text.count("[") > _ARRAYS:
            raise ProofError(f"not a certificate: more than {_ARRAYS} arrays")
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field stands there twice")
    return fields


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


@contextmanager
def or_no_proof(what: str) -> Iterator[None]:
    """Whatever numpy, json and the proof say of a damaged or hostile file: no proof."""
    try:
        yield
    except (ProofError, OSError):
        raise
    except MemoryError:
        raise ProofError("there is not enough memory to check it") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ProofError(f"{what}{reason}") from None


def network_of(content: Any, schema: str, net: Any) -> Any:
    """The network inside a document of this schema, or `net`; all hashes checked."""
    given = net = None if net is None else as_network(net)
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise ProofError(f"not a certificate of schema {schema!r}")
    if content.get("sha256") != content_hash(content):
        raise ProofError("the content was changed: its sha256 is not the one stated")
    wanted = content["network_sha256"]
    # one hidden layer of ReLU units may be written by layers, and is certified as a `ShallowNet`
    if net is not None and net.is_shallow and network_hash(net) != wanted:
        net = net.to_shallow()
    if "network" in content:
        inside = network_from(content["network"])
        if net is not None and network_hash(net) != network_hash(inside):
            raise ProofError("the network given is not the one inside the certificate")
        net = inside
    if net is None:
        raise ProofError("the weights are not inside: give the network beside the certificate")
    if network_hash(net) != wanted:
        raise ProofError("the weights are not those of the certificate: their sha256 differs")
    # the proof is to hold for the layers that were multiplied, too
    return given if given is not None and any(given.rounding) else net


def region_from(document: dict[str, Any], dim: int) -> Region | None:
    """The region of `dim` inputs that a document is about."""
    if "region" not in document:
        return None
    content = document["region"]
    kind, fields = content["kind"], {"ball": "center radius", "box": "low high", "polytope": "A b"}
    if kind not in fields:
        raise ValueError(f"unknown region {kind!r:.80}")
    first, second = (content[name] for name in fields[kind].split())
    if kind == "ball" and np.ndim(first) != 1:
        raise ValueError("a ball has one center")
    found = regions(dim, **{kind: (first, second)})[0]
    if kind != "polytope" or not content["rows"]:  # a constant has no use for them
        return found
    rows = np.array(content["rows"])
    if rows.dtype.kind != "i" or rows.ndim != 2:
        raise TypeError("rows must be whole numbers")
    return Polytope(found.A, found.b, rows)  # type: ignore[attr-defined]


def content_of(net: Any) -> dict[str, Any]:
    """What `network_from` takes of a `ShallowNet` or a `Network`."""
    if isinstance(net, ShallowNet):
        return {"weights": net.weights, "outer": net.outer, "offset": net.offset}
    return {"weights": net.weights, "biases": net.biases, "activations": activations_of(net)}


def activations_of(net: Any) -> list[list[Any]]:
    """Names and parameters of the activations of a `Network`, as `network_from` takes them."""
    return [[phi.name, *phi.parameters] for phi in net.activations]


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
        offset = float(array(content.get("offset", 0.0), 0))
        return ShallowNet(array(content["weights"], 2), array(content["outer"], 1), offset)
    return Network(
        [array(weight, 2) for weight in content["weights"]],
        [array(bias, 1) for bias in content["biases"]],
        [Activation(name, tuple(parameters)) for name, *parameters in content["activations"]],
    )


def number(value: Any, name: str, beyond: bool = False) -> float:
    if value is None and name == "bound" and beyond:
        return float("inf")
    if type(value) not in (int, float):
        raise TypeError(f"{name} must be a number")
    return float(value)


def array(values: Any, ndim: int) -> Array:
    found = np.array(values)
    if found.ndim != ndim or found.dtype.kind not in "fiu":
        raise TypeError(f"expected numbers in {ndim} dimensions, got shape {found.shape}")
    return found.astype(np.float64)
