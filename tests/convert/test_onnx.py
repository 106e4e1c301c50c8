from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from lipsnn import as_network, certify  # noqa: E402

DATA = Path(__file__).resolve().parent / "data"
RNG = np.random.default_rng(0)
FLOATS = {
    "W": RNG.normal(size=(5, 3)),
    "b": RNG.normal(size=5),
    "V": RNG.normal(size=(5, 2)),
    "c": RNG.normal(size=2),
    "variance": RNG.uniform(1, 2, size=5),
    "row": RNG.normal(size=(1, 3)),
    "slope": np.full(5, 0.3),
}
node = helper.make_node
FIRST = node("Gemm", ["x", "W", "b"], ["u"], transB=1)
LAST = node("Gemm", ["v", "V", "c"], ["y"])


def model(*nodes, shape=("n", 3), kind=TensorProto.FLOAT, extra=None):
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    arrays = {name: value.astype(dtype) for name, value in FLOATS.items()} | (extra or {})
    used = {name for one in nodes for name in one.input}
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, ("n", "k"))],
        [numpy_helper.from_array(arrays[name], name) for name in sorted(used & set(arrays))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


CHAINS = {
    "gemm": [FIRST, node("Relu", ["u"], ["v"]), LAST],
    "matmul and add": [
        FIRST,
        node("Tanh", ["u"], ["v"]),
        node("MatMul", ["v", "V"], ["p"]),
        node("Add", ["c", "p"], ["y"]),
    ],
    "scaling": [
        node("Sub", ["x", "row"], ["p"]),
        node("Div", ["p", "row"], ["q"]),
        node("Gemm", ["q", "W", "b"], ["u"], transB=1),
        node("LeakyRelu", ["u"], ["v"], alpha=0.2),
        LAST,
    ],
    "normalised": [
        FIRST,
        node("BatchNormalization", ["u", "b", "b", "b", "variance"], ["p"]),
        node("Sigmoid", ["p"], ["v"]),
        LAST,
    ],
    "prelu": [FIRST, node("PRelu", ["u", "slope"], ["v"]), LAST],
    "elu, dropout": [FIRST, node("Elu", ["u"], ["p"]), node("Dropout", ["p"], ["v"]), LAST],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_chains_compute_what_the_model_does(name, kind):
    proto = model(*CHAINS[name], kind=kind)
    net = as_network(proto)
    x = RNG.normal(size=(20, 3)).astype(helper.tensor_dtype_to_np_dtype(kind))
    tolerance = 1e-5 if kind == TensorProto.FLOAT else 1e-12
    expected = ReferenceEvaluator(proto).run(None, {"x": x})[0]
    np.testing.assert_allclose(net(x), expected, rtol=tolerance, atol=tolerance)
    assert certify(proto).bound == certify(net).bound


def test_a_cast_between_floating_types_changes_no_real_number():
    there, back = (node("Cast", [a], [b], to=to) for a, b, to in (("u", "p", 11), ("q", "v", 1)))
    proto = model(FIRST, there, node("Relu", ["p"], ["q"]), back, LAST)
    assert as_network(proto) == as_network(model(*CHAINS["gemm"]))


def test_files_and_images_of_fixed_size(tmp_path):
    flat = node("Flatten", ["x"], ["f"])
    first = node("Gemm", ["f", "W", "b"], ["u"], transB=1)
    proto = model(flat, first, node("Relu", ["u"], ["v"]), LAST, shape=(1, 1, 3))
    onnx.save(proto, str(tmp_path / "net.onnx"))
    assert as_network(tmp_path / "net.onnx") == as_network(proto)
    (tmp_path / "page.onnx").write_text("<html>")
    with pytest.raises(ValueError, match=r"not an? .*ONNX"):
        as_network(tmp_path / "page.onnx")
    with pytest.raises(OSError, match="none"):
        as_network(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([FIRST, node("Relu", ["u"], ["p"]), node("Softmax", ["p"], ["v"]), LAST], "Softmax"),
        ([FIRST, node("Relu", ["u"], ["p"]), node("Add", ["p", "u"], ["v"]), LAST], "branch"),
        ([FIRST, node("Mul", ["u", "u"], ["v"]), LAST], "two branches"),
        (
            [node("Gemm", ["x", "W", "b"], ["u"], transB=1, alpha=2.0), *CHAINS["gemm"][1:]],
            "alpha, beta",
        ),
        (
            [
                FIRST,
                LAST.__class__.FromString(node("Gemm", ["u", "V", "c"], ["y"]).SerializeToString()),
            ],
            "no activation",
        ),
        *(
            (
                [FIRST, node("Cast", ["u"], ["p"], to=to), node("Cast", ["p"], ["v"], to=1), LAST],
                "Cast",
            )
            for to in (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL)
        ),
    ],
)
def test_what_cannot_be_read_is_named(nodes, message):
    with pytest.raises(ValueError, match=message):
        as_network(model(*nodes))


def test_a_model_that_keras_saved():
    """By Keras 3.15.1 on torch, ``model.export("keras.onnx", format="onnx")``: Dense 3-5-4-2-1 with
    BatchNormalization, LeakyReLU, Dropout and tanh, fitted; keras.npz has its own predictions."""
    net = as_network(DATA / "keras.onnx")
    said = np.load(DATA / "keras.npz")
    assert [phi.name for phi in net.activations] == ["relu", "leaky_relu", "tanh"]
    np.testing.assert_allclose(net(said["X"].astype(float)), said["y"], atol=1e-6)
    X = said["X"].astype(float)
    slopes = np.linalg.norm(net.gradient(X), 2, axis=(1, 2))
    assert slopes.max() <= certify(net).verify()
