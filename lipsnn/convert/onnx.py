"""ONNX models, also those that Keras and others save: a chain of the supported operators."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from lipsnn._checks import Array
from lipsnn._optional import onnx, onnx_reference
from lipsnn.activations import Activation
from lipsnn.convert.affine import Linear, divide, normalise, scale
from lipsnn.convert.chain import Act, Step, converted
from lipsnn.network import Network

_ACTIVATIONS = {
    **{name: name.lower() for name in ("Relu", "Tanh", "Sigmoid", "Elu", "Celu", "Softplus")},
    **{"LeakyRelu": "leaky_relu", "Abs": "abs", "HardSwish": "hardswish", "Mish": "mish"},
}
# of those with a parameter alpha, ONNX's default
_ALPHAS = {"LeakyRelu": 0.01, "Elu": 1.0, "Celu": 1.0}
_TRANSPARENT = ("Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout", "Cast")
_FLOATS = (1, 10, 11, 16)  # TensorProto's float, float16, double, bfloat16
SUPPORTED = ", ".join(
    (
        *("Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization"),
        *("Gelu", "PRelu", *_ACTIVATIONS, *_TRANSPARENT),
    )
)


def from_onnx(model: Any, X: Any = None) -> Network:
    """The network of an ONNX model, a ``ModelProto`` or the path of a file."""
    if isinstance(model, (str, Path)):
        try:
            model = onnx.load(str(model))
        except OSError:
            raise
        except Exception as error:
            raise ValueError(f"{model} is not an ONNX model: {error}") from None
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise ValueError(f"not a valid ONNX model: {str(error).splitlines()[0]}") from None
    chain = _Chain(model.graph)
    steps = chain.steps()
    evaluator = onnx_reference.ReferenceEvaluator(model)
    return converted(steps, chain.dim, chain.dtype, lambda x: _run(evaluator, chain, x), X, "model")


def _run(evaluator: Any, chain: _Chain, x: Array) -> Array:
    """The model's outputs at x (n, d), all at once or, for a model of one sample, one by one."""
    rest = [size or 1 for size in chain.shape[1:]]
    fixed = chain.shape[0] if chain.shape else 0
    batches = [x] if not fixed else [x[i : i + 1] for i in range(len(x))]
    if fixed > 1:
        raise ValueError(f"the model takes batches of {fixed} samples: export it for one or any")
    try:
        done = [evaluator.run(None, {chain.input: b.reshape(len(b), *rest)})[0] for b in batches]
    except Exception as error:
        raise ValueError(f"the model cannot be evaluated: {str(error)[:200]}") from None
    return np.concatenate([np.reshape(y, (len(b), -1)) for y, b in zip(done, batches, strict=True)])


class _Chain:
    """The graph, read as one chain from its input to its output."""

    def __init__(self, graph: Any) -> None:
        self.constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        inputs = [value for value in graph.input if value.name not in self.constants]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise ValueError(
                f"the model has {len(inputs)} inputs and {len(graph.output)} outputs: it must have "
                "one of each"
            )
        self.input, self.output = inputs[0].name, graph.output[0].name
        kind = inputs[0].type.tensor_type
        self.dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
        if self.dtype not in (np.float64, np.float32, np.float16):
            raise ValueError(f"the model's input is of type {self.dtype}: it must be floating")
        self.shape = [int(size.dim_value) for size in kind.shape.dim]
        self.nodes = list(graph.node)
        self.dim = 0

    def steps(self) -> list[Step]:
        """The steps from input to output."""
        current, steps = self.input, []
        known = math.prod(self.shape[1:]) if len(self.shape) > 1 else 0
        self.dim = known or self._rows_of_first_matrix()
        at = self.dim
        for node in self.nodes:
            options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.domain not in ("", "ai.onnx"):
                raise self._refuse(node, f"operator {node.op_type} of domain {node.domain}")
            if node.op_type == "Constant":
                given = next(iter(options.values()))
                array = onnx.numpy_helper.to_array(given) if "value" in options else given
                self.constants[node.output[0]] = np.asarray(array)
                continue
            if current not in node.input:
                if all(name in self.constants or not name for name in node.input):
                    raise self._refuse(node, f"{node.op_type} of constants")
                raise self._refuse(node, f"{node.op_type} beside the chain")
            if sum(current in other.input for other in self.nodes) > 1:
                raise self._refuse(node, f"the branch at {current}")
            others = list(node.input)
            others.remove(current)
            if any(n and n not in self.constants for n in others):
                raise self._refuse(node, f"{node.op_type} of two branches")
            for step in self._read(node, options, current, at):
                steps.append(step)
                at = len(step.W) if isinstance(step, Linear) else at
            current = node.output[0]
        if current != self.output:
            raise ValueError(f"the model's output {self.output} is not the end of the chain")
        return steps

    def _rows_of_first_matrix(self) -> int:
        for node in self.nodes:
            if node.op_type in ("Gemm", "MatMul"):
                turned = any(a.name == "transB" and a.i for a in node.attribute)
                matrix = self.constants.get(node.input[1])
                if matrix is not None and matrix.ndim == 2:
                    return int(matrix.shape[1 if turned else 0])
        raise ValueError("the model has no Gemm or MatMul with a constant matrix")

    def _refuse(self, node: Any, what: str) -> ValueError:
        return ValueError(
            f"{node.name or node.op_type}: {what} is not supported; supported are {SUPPORTED}, "
            "one after the other"
        )

    def _number(self, node: Any, index: int) -> Array:
        array = self.constants[node.input[index]]
        if array.dtype.kind not in "fiu":
            raise self._refuse(node, f"a constant of type {array.dtype}")
        return array.astype(np.float64)

    def _each(self, node: Any, index: int, at: int) -> Array:
        """A constant operand, one entry per value of a sample."""
        array = self._number(node, index)
        if array.size not in (1, at) or (array.ndim > 1 and array.shape[0] != 1):
            raise self._refuse(node, f"{node.op_type} with a constant of shape {array.shape}")
        return np.broadcast_to(array.reshape(-1), (at,))

    def _read(self, node: Any, options: dict[str, Any], current: str, at: int) -> list[Step]:
        where = node.name or f"{node.op_type} {node.output[0]}"
        kind, place = node.op_type, list(node.input).index(current)
        if kind == "Cast" and options.get("to") not in _FLOATS:
            raise self._refuse(node, "Cast to another type than a floating one")
        if kind in _TRANSPARENT:
            return []
        if kind == "Gelu":
            tanh = options.get("approximate", b"none") == b"tanh"
            return [Act(Activation("gelu_tanh" if tanh else "gelu"), where)]
        if kind in _ACTIVATIONS:
            alpha = float(options.get("alpha", np.float32(_ALPHAS.get(kind, 0.0))))
            if kind == "LeakyRelu" and alpha == 1.0:
                return []
            parameters = (alpha,) if kind in _ALPHAS else ()
            return [Act(Activation(_ACTIVATIONS[kind], parameters), where)]
        if kind == "PRelu" and place == 0:
            slopes = tuple(self._each(node, 1, at).tolist())
            return [] if set(slopes) == {1.0} else [Act(Activation("prelu", slopes), where)]
        if kind in ("Gemm", "MatMul") and place == 0:
            return [self._linear(node, options, at, where)]
        if kind == "BatchNormalization" and place == 0 and not options.get("training_mode"):
            gamma, beta, mean, variance = (self._each(node, i, at) for i in range(1, 5))
            eps = float(options.get("epsilon", np.float32(1e-5)))
            return [normalise(mean, variance, eps, gamma, beta, where)]
        zeros, ones = np.zeros(at), np.ones(at)
        if kind == "Neg":
            return [scale(-ones, zeros, where)]
        if kind in ("Add", "Sub", "Mul", "Div"):
            other = self._each(node, 1 - place, at)
            if kind == "Mul":
                return [scale(other, zeros, where)]
            if kind == "Div" and place == 0 and other.all():
                return [divide(other, zeros, where)]
            if kind == "Add" or (kind == "Sub" and place == 1):
                return [scale(ones if kind == "Add" else -ones, other, where)]
            if kind == "Sub":
                return [scale(ones, -other, where)]
        raise self._refuse(node, kind)

    def _linear(self, node: Any, options: dict[str, Any], at: int, where: str) -> Linear:
        matrix = self._number(node, 1)
        if options.get("transA") or matrix.ndim != 2:
            raise self._refuse(node, f"{node.op_type} in this form")
        W = matrix if options.get("transB") else matrix.T
        factors = float(options.get("alpha", 1.0)), float(options.get("beta", 1.0))
        if factors != (1.0, 1.0):
            raise self._refuse(node, f"Gemm with alpha, beta = {factors}")
        if W.shape[1] != at:
            raise ValueError(
                f"the layers do not chain: {where} takes {W.shape[1]} values, the one before it "
                f"gives {at}"
            )
        bias = np.zeros(len(W))
        if len(node.input) > 2 and node.input[2]:
            bias = np.array(self._each(node, 2, len(W)))
        return Linear(W, bias, where)
