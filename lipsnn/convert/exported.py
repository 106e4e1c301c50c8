"""Networks of torch.export's archives, .pt2."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn.activations import Activation
from lipsnn.convert.affine import Linear
from lipsnn.convert.chain import Act, Step, assemble
from lipsnn.network import Network

HOW = (
    "save its weights, torch.save(net.state_dict(), 'net.pt'), or export it, "
    "torch.export.save(torch.export.export(net, (x,)), 'net.pt2')"
)
# torch's numbers for the types of the weights in an archive
_DTYPES = {6: "<f2", 7: "<f4", 8: "<f8"}


def from_export(path: Path) -> Network:
    """From an archive of torch.export: a chain of linear maps and activations.

    torch's own reader unpickles what the archive says is pickled, and evaluates the expressions
    in it; here its JSON and its bytes are read.
    """
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/")[0]
        try:
            model = json.loads(archive.read(f"{root}/models/model.json"))["graph_module"]
            stored = json.loads(archive.read(f"{root}/data/weights/model_weights_config.json"))
            tensors = {
                name: _tensor(archive.read(f"{root}/data/weights/{entry['path_name']}"), entry)
                for name, entry in stored["config"].items()
            }
            parameters = {}
            for spec in model["signature"]["input_specs"]:
                for kind in ("parameter", "buffer"):
                    if kind in spec:
                        name = spec[kind]["arg"]["name"]
                        parameters[name] = tensors[spec[kind][f"{kind}_name"]]
                if "user_input" in spec:
                    here = spec["user_input"]["arg"]["as_tensor"]["name"]
            steps: list[Step] = []
            for node in model["graph"]["nodes"]:
                operation = node["target"].removeprefix("torch.ops.aten.").split(".")[0]
                operation = operation.removesuffix("_")  # in place
                first, *others = [entry["arg"] for entry in node["inputs"]]
                if first["as_tensor"]["name"] != here:
                    raise ValueError(f"{path.name} is no chain: {operation} takes another input")
                if operation == "linear":
                    W = parameters[others[0]["as_tensor"]["name"]]
                    bias = others[1].get("as_tensor") if len(others) > 1 else None
                    b = parameters[bias["name"]] if bias else np.zeros(len(W))
                    steps.append(Linear(W, b, operation))
                elif operation == "dropout":
                    if others[0]["as_float"] and others[1]["as_bool"]:
                        raise ValueError(
                            f"{path.name} has dropout that is always on: call eval() before the "
                            "export, and F.dropout(x, training=self.training)"
                        )
                elif operation not in ("alias", "detach", "contiguous"):
                    if others and operation not in ("leaky_relu", "elu", "hardtanh"):
                        raise ValueError(f"{path.name} has the operation {operation} with options")
                    slopes = [float(x) for arg in others for x in arg.values()]
                    slopes = slopes or [0.01] * (operation == "leaky_relu")
                    steps.append(Act(Activation(operation, tuple(slopes)), operation))
                here = node["outputs"][0]["as_tensor"]["name"]
            (result,) = model["signature"]["output_specs"]
            if result["user_output"]["arg"]["as_tensor"]["name"] != here:
                raise ValueError(f"{path.name} gives out another value than its last")
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{path.name} is not a chain of Linear layers: {error!r}") from None
    widths = [step.W.shape[1] for step in steps if isinstance(step, Linear)]
    return assemble(steps, sum(widths[:1]), "float64")


def _tensor(content: bytes, entry: dict[str, Any]) -> Array:
    meta = entry["tensor_meta"]
    if entry["use_pickle"] or meta["dtype"] not in _DTYPES:
        raise ValueError(f"the weights of {entry['path_name']} are no plain floats: {HOW}")
    dtype = np.dtype(_DTYPES[meta["dtype"]])
    shape, strides = ([n["as_int"] for n in meta[key]] for key in ("sizes", "strides"))
    start = meta["storage_offset"]["as_int"]
    last = start + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    size = max(last + 1, math.prod(shape)) * dtype.itemsize
    if min([start, *strides, *shape]) < 0 or math.prod(shape) == 0 or size > len(content):
        raise ValueError(f"the weights of {entry['path_name']} are damaged")
    flat = np.frombuffer(content, dtype)[start:]
    steps = [step * dtype.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(flat, shape, steps).astype(np.float64)
