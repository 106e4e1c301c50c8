"""Networks and tables of data in files, for the command line. Nothing that is read can run code."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import parquet, torch
from lipsnn.certificate.document import content_of, network_from, read
from lipsnn.convert import as_network
from lipsnn.convert.exported import HOW, from_export
from lipsnn.network import Network, ShallowNet

READ = (".npz", ".json", ".pt", ".pth", ".pt2", ".onnx")
WRITTEN = (".npz", ".json", ".pt", ".pth")


def read_network(path: str | Path, activation: str = "relu") -> Network | ShallowNet:
    """The network in a file.

    Parameters
    ----------
    path : str or Path
        .npz or .json with weights (m, d + 1), outer (m,) and offset, or with the layers of a deeper
        network, as `write_network` writes them; .pt or .pth with a state dict; .pt2 (or .pt) of
        torch.export; .onnx.
    activation : str
        Of the hidden layers, where the file has weights alone: .npz by layers, a state dict.

    Raises
    ------
    ValueError
        If the file is no network, or one that would have to be unpickled, saying what to do.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in READ:
        raise ValueError(f"{path.name} must end in one of {', '.join(READ)}")
    with _reading(path):
        if kind == ".onnx":
            return as_network(path)
        if kind == ".json":
            return network_from(read(path))
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile:
            raise ValueError(f"{path.name} is damaged, or no {kind} file: {HOW}") from None
        if kind == ".npz":
            return network_from(_arrays(path, activation))
        if any(name.endswith("/models/model.json") for name in names):
            return from_export(path)
        return _state_dict(path, activation)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever a reader says of a file that is not what its name says, as one kind of error."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        yield
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not UTF-8: save it as such") from None
    except (ValueError, OSError, ImportError):
        raise
    except Exception as error:
        raise ValueError(f"{path.name} cannot be read: {error or type(error).__name__}") from None


def write_network(net: Any, path: str | Path) -> None:
    """Write a network, such that `read_network` and ``lipsnn verify --network`` read it.

    Parameters
    ----------
    net : ShallowNet, Network or anything that `as_network` takes
    path : str or Path
        .npz or .json: of a `ShallowNet` weights (m, d + 1), outer (m,) and offset; of any other the
        weights, biases and activations of its layers. .pt or .pth: a torch state dict, which does
        not say what the activations are.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in WRITTEN:
        raise ValueError(f"{path.name} must end in one of {', '.join(WRITTEN)}")
    if not isinstance(net, ShallowNet):
        net = as_network(net)
    if kind in (".pt", ".pth"):
        torch.save(net.to_torch(torch.float64).state_dict(), path)
        return
    content = content_of(net)
    if kind == ".json":
        path.write_text(json.dumps(content, default=np.ndarray.tolist))
        return
    if not isinstance(net, ShallowNet):  # an array for each layer
        content = {"activations": json.dumps(content["activations"])}
        content |= {f"weights_{k}": W for k, W in enumerate(net.weights)}
        content |= {f"biases_{k}": b for k, b in enumerate(net.biases)}
    with path.open("wb") as file:  # by its name numpy would add .npz to .NPZ
        np.savez(file, **content)


def read_data(path: str | Path, target: str | None = None) -> tuple[Array, Array]:
    """Inputs X (n, d) and targets y (n,) of a table, all columns but `target` being inputs.

    Parameters
    ----------
    path : str or Path
        .csv with a header, .parquet, or .npz with an array X (n, d) and the target by its name.
    target : str or None
        None if there is none; y is then empty.
    """
    path = Path(path)
    kind = path.suffix.lower()
    with _reading(path):
        if kind == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                wanted = ["X"] if target is None else ["X", target]
                if not {*wanted} <= set(arrays.files):
                    raise ValueError(
                        f"{path.name} must hold {' and '.join(wanted)}, it has {arrays.files}"
                    )
                return arrays["X"], np.empty(0) if target is None else arrays[target]
        if kind == ".csv":
            columns = _csv(path)
        elif kind == ".parquet":
            table = parquet.read_table(path)
            columns = {name: table.column(name).to_numpy() for name in table.column_names}
        else:
            raise ValueError(f"{path.name} must end in .csv, .parquet or .npz")
    if target is not None and target not in columns:
        raise ValueError(f"{path.name} has no column {target!r}: it has {', '.join(columns)}")
    y = [] if target is None else columns.pop(target)
    if not columns:
        raise ValueError(f"{path.name} has no column but {target!r}: there are no inputs")
    X = np.column_stack([_numbers(values, name, path) for name, values in columns.items()])
    return X, _numbers(y, str(target), path)


def _csv(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2:
        raise ValueError(f"{path.name} must have a header and at least one row")
    names = [name.strip() for name in rows[0]]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{path.name} has two columns {min(twice)!r}: rename one")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"row {number} of {path.name} has {len(row)} fields, the header {len(rows[0])}"
            )
    return {name: list(column) for name, _, *column in zip(names, *rows, strict=True)}


def _numbers(values: Any, name: str, path: Path) -> Array:
    try:
        array = np.asarray(values)
        if array.dtype.kind in "mM":
            raise ValueError("it holds dates or durations")
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} of {path.name} is not numeric: {error}") from None


def _arrays(path: Path, activation: str) -> dict[str, Any]:
    """What `network_from` takes; an array for each layer is put together."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    if "weights_0" not in arrays:
        return arrays
    count = sum(name.startswith("weights_") for name in arrays)
    known = {
        "activations",
        *(f"{kind}_{k}" for kind in ("weights", "biases") for k in range(count)),
    }
    if unknown := arrays.keys() - known:
        raise ValueError(f"{path.name} has {min(unknown)}, which belongs to none of its layers")
    weights = [arrays[f"weights_{k}"] for k in range(count)]
    given = arrays.get("activations")
    return {
        "weights": weights,
        "biases": [arrays.get(f"biases_{k}", np.zeros(len(W))) for k, W in enumerate(weights)],
        "activations": [[activation]] * (count - 1) if given is None else json.loads(str(given)),
    }


def _state_dict(path: Path, activation: str) -> Network:
    """From weights and biases of Linear layers, in their order."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        raise ValueError(
            f"{path.name} holds more than weights, and to load it could run any code: where you "
            f"have the network, {HOW}"
        ) from None
    if not isinstance(content, Mapping) or not all(map(torch.is_tensor, content.values())):
        raise ValueError(f"{path.name} holds no state dict: {HOW}")
    weights: list[Array] = []
    biases: list[Array | None] = []
    for name, tensor in content.items():
        shape, floating = tuple(tensor.shape), tensor.is_floating_point()
        if floating and name.endswith("weight") and len(shape) == 2:
            weights.append(tensor.double().numpy())
            biases.append(None)
        elif floating and name.endswith("bias") and biases and biases[-1] is None:
            biases[-1] = tensor.double().numpy()
        else:
            raise ValueError(
                f"{path.name} has {name} of shape {shape} and {tensor.dtype}, which belongs to no "
                "Linear layer: export the network instead, "
                "torch.export.save(torch.export.export(net, (x,)), 'net.pt2')"
            )
    filled = [np.zeros(len(W)) if b is None else b for W, b in zip(weights, biases, strict=True)]
    return Network(weights, filled, activation)
