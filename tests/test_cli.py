import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from pyarrow import parquet, table
from torch import nn

import lipsnn
from lipsnn import files
from lipsnn.cli import main


@pytest.fixture
def deep():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 5), nn.LeakyReLU(0.2), nn.Linear(5, 2)
    ).double()


@pytest.fixture
def net(trained, tmp_path):
    path = tmp_path / "net.npz"
    files.write_network(trained, path)
    return path


@pytest.fixture
def data(servo, tmp_path):
    path = tmp_path / "data.csv"
    rows = np.column_stack([servo.X_train, servo.y_train])
    names = ",".join([*servo.features, "y"])
    np.savetxt(path, rows, delimiter=",", header=names, comments="", fmt="%.17g")
    return path


def lines(capsys):
    return json.loads(capsys.readouterr().out)


def test_certify_shows_a_table_or_json_and_writes_what_verify_proves(
    net, trained, tmp_path, capsys
):
    certificate = tmp_path / "certificate.json"
    assert main(["certify", str(net), "--output", str(certificate)]) == 0
    out = capsys.readouterr().out
    assert "bound" in out
    assert "optimal" in out
    assert main(["certify", str(net), "--json"]) == 0
    assert lines(capsys)["bound"] == pytest.approx(lipsnn.certify(trained).bound, rel=1e-6)
    assert main(["verify", str(certificate)]) == 0
    assert capsys.readouterr().out.startswith("proved: |f(x)")
    content = json.loads(certificate.read_text())
    certificate.write_text(json.dumps(content | {"bound": content["bound"] / 2}))
    assert main(["verify", str(certificate)]) == 1
    assert capsys.readouterr().err.startswith("rejected: ")
    assert main(["verify", str(certificate), "--json"]) == 1
    assert lines(capsys)["proved"] is False


@pytest.mark.parametrize("kind", [".npz", ".json", ".pt"])
def test_refine_writes_a_network_that_can_be_read(
    kind, net, data, servo, trained, tmp_path, capsys
):
    output = tmp_path / f"better{kind}"
    command = ["refine", str(net), str(data), "--target", "y", "--strength", "0.5"]
    assert main([*command, "--output", str(output), "--json"]) == 0
    shown = lines(capsys)
    better = lipsnn.convert.as_shallow(files.read_network(output))
    value = lipsnn.objective(better, servo.X_train, servo.y_train, 0.5, "lipschitz")
    assert value == pytest.approx(shown["objective"], rel=1e-9)
    before = lipsnn.objective(trained, servo.X_train, servo.y_train, 0.5, "lipschitz")
    assert shown["objective_before"] == pytest.approx(before, rel=1e-9)
    assert shown["objective"] < before
    error = np.mean((better(servo.X_train) - servo.y_train) ** 2)
    assert shown["mean_squared_error"] == pytest.approx(error, rel=1e-9)


def test_refine_by_the_mean_is_refine_by_the_sum_at_n_times_the_strength(
    net, data, servo, tmp_path, capsys
):
    command = ["refine", str(net), str(data), "--target", "y", "--output", str(tmp_path / "o.npz")]
    n = len(servo.y_train)
    assert main([*command, "--json", "--strength", "0.5"]) == 0
    total = lines(capsys)
    assert main([*command, "--json", "--strength", str(0.5 / n), "--reduction", "mean"]) == 0
    mean = lines(capsys)
    for name in ("objective", "objective_before"):
        assert mean[name] == pytest.approx(total[name] / n, rel=1e-6)


def test_refine_that_gains_nothing_says_so(net, data, tmp_path, capsys):
    command = ["refine", str(net), str(data), "--target", "y", "--strength", "0.5", "--output"]
    once, twice = str(tmp_path / "once.npz"), str(tmp_path / "twice.npz")
    assert main([*command, once]) == 0
    command[1] = once
    code = main([*command, twice, "--json"])
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == int(shown["objective"] >= shown["objective_before"])
    assert shown["objective"] <= shown["objective_before"]


def test_tables_of_all_kinds_are_the_same(data, servo, tmp_path):
    columns = dict(zip(servo.features, servo.X_train.T, strict=True)) | {"y": servo.y_train}
    parquet.write_table(
        table({k: np.ascontiguousarray(v) for k, v in columns.items()}), tmp_path / "data.parquet"
    )
    np.savez(tmp_path / "data.npz", X=servo.X_train, y=servo.y_train)
    for name in ("data.csv", "data.parquet", "data.npz"):
        X, y = files.read_data(tmp_path / name, "y")
        np.testing.assert_array_equal(X, servo.X_train)
        np.testing.assert_array_equal(y, servo.y_train)


def test_an_exported_network_of_torch(deep, tmp_path):
    path = tmp_path / "net.pt2"
    sizes = {"input": {0: torch.export.Dim("n")}}
    program = torch.export.export(deep, (torch.zeros(2, 3).double(),), dynamic_shapes=sizes)
    torch.export.save(program, path)
    X = np.random.default_rng(0).standard_normal((20, 3))
    found = files.read_network(path)
    np.testing.assert_allclose(found(X), deep(torch.tensor(X)).detach().numpy(), atol=1e-14)
    done = subprocess.run(
        [sys.executable, "-m", "lipsnn", "certify", str(path), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    bound = lipsnn.certify(deep).bound
    assert json.loads(done.stdout)["bound"] == pytest.approx(bound, rel=1e-6)


def test_a_state_dict_and_weights_by_layers(deep, tmp_path):
    torch.save(deep.state_dict(), tmp_path / "net.pt")
    found = files.read_network(tmp_path / "net.pt", "tanh")
    arrays = {}
    for k, layer in enumerate(m for m in deep if isinstance(m, nn.Linear)):
        arrays[f"weights_{k}"] = layer.weight.detach().numpy()
        arrays[f"biases_{k}"] = layer.bias.detach().numpy()
    np.savez(tmp_path / "net.npz", **arrays)
    for net in (found, files.read_network(tmp_path / "net.npz", "tanh")):
        assert [str(phi.name) for phi in net.activations] == ["tanh", "tanh"]
        np.testing.assert_array_equal(net.weights[2], deep[4].weight.detach().numpy())
        np.testing.assert_array_equal(net.biases[2], deep[4].bias.detach().numpy())


def test_every_network_is_written_as_it_is_read(deep, trained, tmp_path, capsys):
    certificate = tmp_path / "certificate.json"
    for net in (deep, trained, trained.to_network()):
        ours = lipsnn.as_network(net)
        found = lipsnn.certify(net)
        certificate.write_text(found.to_json(network=False))
        for kind in (".npz", ".json", ".NPZ"):
            path = tmp_path / f"net{kind}"
            files.write_network(net, path)
            assert lipsnn.as_network(files.read_network(path)) == ours
            assert main(["verify", str(certificate), "--network", str(path)]) == 0
            assert main(["verify", str(certificate)]) == 1
        capsys.readouterr()
    certificate.write_text(lipsnn.certify(trained).to_json(network=False))
    files.write_network(trained, tmp_path / "net.pt")
    assert main(["verify", str(certificate), "--network", str(tmp_path / "net.pt")]) == 0
    files.write_network(deep, tmp_path / "net.pth")
    state = torch.load(tmp_path / "net.pth", weights_only=True)
    for ours, theirs in zip(state.values(), deep.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(ValueError, match=r"\.npz"):
        files.write_network(deep, tmp_path / "net.onnx")


@pytest.mark.parametrize(
    "phi",
    [
        nn.ReLU(inplace=True),
        nn.LeakyReLU(0.2, inplace=True),
        nn.ELU(0.5),
        nn.Hardtanh(-2, 2.5),
        nn.ReLU6(),
        nn.SELU(),
    ],
    ids=str,
)
def test_activations_of_an_export(phi, tmp_path):
    net = nn.Sequential(nn.Linear(3, 4), phi, nn.Linear(4, 4), phi, nn.Linear(4, 1)).eval()
    torch.export.save(torch.export.export(net, (torch.zeros(2, 3),)), tmp_path / "net.pt2")
    found = files.read_network(tmp_path / "net.pt2")
    assert found.activations == lipsnn.as_network(net).activations
    assert lipsnn.certify(found).bound == lipsnn.certify(net).bound


@pytest.mark.parametrize("phi", [nn.GELU("tanh"), nn.Softplus(2.0), nn.PReLU()], ids=str)
def test_options_of_an_export_that_are_not_read(phi, tmp_path):
    net = nn.Sequential(nn.Linear(3, 4), phi, nn.Linear(4, 1)).eval()
    torch.export.save(torch.export.export(net, (torch.zeros(2, 3),)), tmp_path / "net.pt2")
    with pytest.raises(ValueError, match="with options"):
        files.read_network(tmp_path / "net.pt2")


def test_neighbouring_linear_layers_of_an_export_are_multiplied(tmp_path):
    pytest.importorskip("flint")
    torch.manual_seed(0)
    first, second, last = (nn.Linear(*n).double() for n in ((3, 4), (4, 5), (5, 2)))
    nn.init.normal_(first.weight)  # of all digits: the product is rounded
    net = nn.Sequential(first, second, nn.ReLU(), last)
    torch.export.save(torch.export.export(net, (torch.zeros(2, 3).double(),)), tmp_path / "net.pt2")
    found = files.read_network(tmp_path / "net.pt2")
    X = np.random.default_rng(0).standard_normal((20, 3))
    np.testing.assert_allclose(found(X), net(torch.tensor(X)).detach().numpy(), atol=1e-13)
    assert found.widths == (5,)
    assert found.rounding[0] > 0


def test_each_kind_of_file_from_a_shell(deep, tmp_path):
    onnx = pytest.importorskip("onnx")
    bound = lipsnn.certify(deep).bound
    program = torch.export.export(deep, (torch.zeros(2, 3).double(),))
    torch.export.save(program, tmp_path / "net.pt2")
    tanh = nn.Sequential(*[nn.Tanh() if isinstance(m, nn.LeakyReLU) else m for m in deep])
    torch.save(tanh.state_dict(), tmp_path / "net.pt")
    files.write_network(deep, tmp_path / "net.npz")
    tensor, helper = onnx.numpy_helper.from_array, onnx.helper
    nodes, held, at = [], [], "x"
    for k, layer in enumerate(deep):
        names = [f"w{k}", f"b{k}"] if isinstance(layer, nn.Linear) else []
        held += [
            tensor(part.detach().numpy(), name)
            for part, name in zip((layer.weight, layer.bias) if names else (), names, strict=True)
        ]
        kind = "Gemm" if names else {"Tanh": "Tanh", "LeakyReLU": "LeakyRelu"}[type(layer).__name__]
        options = {"Gemm": {"transB": 1}, "LeakyRelu": {"alpha": 0.2}}.get(kind, {})
        nodes.append(helper.make_node(kind, [at, *names], [f"y{k}"], **options))
        at = f"y{k}"
    double = onnx.TensorProto.DOUBLE
    ends = (("x", 3), (at, 2))
    graph = helper.make_graph(
        nodes,
        "deep",
        *[[helper.make_tensor_value_info(name, double, ["n", size])] for name, size in ends],
        held,
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "net.onnx")
    for name, wanted, *more in (
        ("net.pt2", bound),
        ("net.npz", bound),
        ("net.onnx", bound),
        ("net.pt", lipsnn.certify(tanh).bound, "--activation", "tanh"),
    ):
        certificate = str(tmp_path / "certificate.json")
        shell = [sys.executable, "-m", "lipsnn"]
        command = [*shell, "certify", str(tmp_path / name), "--output", certificate, "--json"]
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["bound"] == pytest.approx(wanted, rel=1e-6), name
        done = subprocess.run([*shell, "verify", certificate], capture_output=True, text=True)
        assert done.stdout.startswith("proved: "), done.stderr


@pytest.mark.parametrize("damage", ["noise", "half", "a bit"])
@pytest.mark.parametrize("kind", [".npz", ".json", ".pt", ".pt2", ".onnx", ".csv", ".parquet"])
def test_damaged_files_are_one_line(kind, damage, deep, net, tmp_path, capsys):
    path = tmp_path / f"damaged{kind}"
    if kind == ".pt2":
        torch.export.save(torch.export.export(deep, (torch.zeros(2, 3).double(),)), path)
    elif kind == ".parquet":
        parquet.write_table(table({"a": np.arange(900.0), "y": np.arange(900.0)}), path)
    elif kind in (".csv", ".onnx"):
        path.write_bytes(b"a,y\n1,2\n\xff,3\n")
    else:
        files.write_network(deep, path)
    content = bytearray(path.read_bytes())
    if damage == "noise":
        content = bytearray(np.random.default_rng(0).bytes(1000))
    elif damage == "half":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 0x80
    path.write_bytes(content)
    command = ["certify", str(path)]
    if kind in (".csv", ".parquet"):
        command = ["refine", str(net), str(path), "--target", "y", "--strength", "1"]
        command += ["--output", str(tmp_path / "o.npz")]
    code = main(command)
    err = capsys.readouterr().err
    assert (code, len(err.splitlines())) == (2, 1) or (code == 0 and damage == "a bit"), err


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def test_nothing_is_unpickled(deep, tmp_path, capsys):
    torch.save(deep, tmp_path / "module.pt")
    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    np.savez(tmp_path / "evil.npz", weights=np.array([Evil()]), outer=np.ones(1))
    for name in ("module.pt", "evil.pt", "evil.npz"):
        assert main(["certify", str(tmp_path / name)]) == 2
        assert name in capsys.readouterr().err or name == "evil.npz"
    assert main(["certify", str(tmp_path / "module.pt")]) == 2
    assert "torch.save(net.state_dict()" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (["certify", "none.npz"], "no file"),
        (["certify", "net.txt"], "must end in"),
        (["certify", "NET", "--method", "magic"], "method"),
        (["certify", "NET", "--tol", "-1"], "tol"),
        (["certify", "NET", "--tol", "1"], "below 1"),
        (
            ["refine", "NET", "DATA", "--target", "y", "--strength", "1", "--output", "no/o.npz"],
            "there is no folder no",
        ),
        (["refine", "NET", "DATA", "--target", "z", "--strength", "1", "--output", "o.npz"], "'z'"),
        (["refine", "NET", "DATA", "--target", "y", "--strength", "0", "--output", "o.npz"], "pos"),
        (
            ["refine", "NET", "DATA", "--target", "y", "--strength", "1", "--output", "o.onnx"],
            ".pt",
        ),
        (
            ["refine", "NET", "no.csv", "--target", "y", "--strength", "1", "--output", "o.pt"],
            "no f",
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_code_2(command, word, net, data, capsys):
    given = [{"NET": str(net), "DATA": str(data)}.get(part, part) for part in command]
    assert main(given) == 2
    err = capsys.readouterr().err
    assert word in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "header"),
        ("a,y\n1,2,3\n", "fields"),
        ("a,y\nred,2\n", "not numeric"),
        ("a, a ,y\n1,2,3\n", "two columns 'a'"),
        ("a,y,y\n1,2,3\n", "two columns 'y'"),
    ],
)
def test_tables_that_are_none(text, word, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=word):
        files.read_data(path, "y")


def test_weights_that_belong_to_no_layer_are_named(tmp_path):
    W, V, b = torch.ones(2, 3), torch.ones(1, 2), torch.ones(2)
    for state, word in (
        ({"0.weight": W + 1j, "2.weight": V}, "complex64"),
        ({"0.weight": W.to(torch.int8), "2.weight": V}, "int8"),
        ({"0.weight": W, "0.bias": b, "1.bias": 5 * b, "2.weight": V}, "1.bias"),
        ({"0.bias": b, "0.weight": W, "2.weight": V}, "0.bias"),
    ):
        torch.save(state, tmp_path / "net.pt")
        with pytest.raises(ValueError, match=f"has .*{word}"):
            files.read_network(tmp_path / "net.pt")
    layers = {"weights_0": W.numpy(), "weights_1": V.numpy()}
    for extra in ("bias_0", "biases_2", "outer"):
        np.savez(tmp_path / "net.npz", **layers, **{extra: np.ones(2)})
        with pytest.raises(ValueError, match=f"has {extra}, which belongs to none"):
            files.read_network(tmp_path / "net.npz")
    (tmp_path / "net.json").write_text('{"weights": [[1, 0]], "weights": [[2, 0]], "outer": [1]}')
    with pytest.raises(ValueError, match="twice"):
        files.read_network(tmp_path / "net.json")


def test_dropout_that_is_always_on_is_refused(tmp_path):
    class Drops(nn.Module):
        def __init__(self, training):
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 1)
            self.on = training

        def forward(self, x):
            hidden = torch.relu(self.first(x))
            return self.last(nn.functional.dropout(hidden, 0.5, training=self.on))

    for on in (True, False):
        path = tmp_path / f"{on}.pt2"
        torch.export.save(torch.export.export(Drops(on), (torch.zeros(2, 3),)), path)
    with pytest.raises(ValueError, match="dropout that is always on"):
        files.read_network(tmp_path / "True.pt2")
    assert files.read_network(tmp_path / "False.pt2").widths == (4,)


def test_dates_are_no_numbers(tmp_path):
    for kind in ("datetime64[us]", "timedelta64[us]"):
        content = table({"when": np.arange(3).astype(kind), "y": np.arange(3.0)})
        parquet.write_table(content, tmp_path / "data.parquet")
        with pytest.raises(
            ValueError, match=r"'when' of data\.parquet is not numeric: it holds dates"
        ):
            files.read_data(tmp_path / "data.parquet", "y")


def test_json_has_null_where_a_bound_is_not_finite(tmp_path, capsys):
    files.write_network(lipsnn.ShallowNet([[1e200, 0.0, 0.0]], [1e200]), tmp_path / "net.npz")
    assert main(["certify", str(tmp_path / "net.npz"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["bound"] is None
    assert 1e308 < found["lower"] < np.inf  # the slope is 1e400


def test_what_cannot_be_read_is_no_rejection(net, tmp_path, capsys):
    lipsnn.certify(files.read_network(net)).to_json(tmp_path / "c.json")
    for command in (
        ["none.json"],
        [str(tmp_path)],
        [str(tmp_path / "c.json"), "--network", "none.npz"],
    ):
        assert main(["verify", *command]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", [[], ["certify"], ["refine"], ["verify"]])
def test_help_teaches(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "exit codes" in out
    assert f"lipsnn {''.join(command)}" in out


def test_refine_under_a_bound(net, data, trained, tmp_path, capsys):
    """By a number or the network's own, which the loss may not raise."""
    out = tmp_path / "better.npz"
    command = ["refine", str(net), str(data), "--target", "y", "--json", "--output", str(out)]
    own = lipsnn.certify(trained).bound
    assert main([*command, "--bound", "own"]) == 0
    found = lines(capsys)
    assert found["bound"] <= found["bound_before"] == pytest.approx(own)
    assert found["objective"] < found["objective_before"]
    assert main([*command, "--bound", str(own / 2)]) == 0  # though the loss has to rise
    assert lines(capsys)["bound"] <= own / 2
    assert lipsnn.certify(files.read_network(out)).bound <= own / 2
    for bad in (["--bound", "1", "--strength", "1"], [], ["--bound", "low"]):
        with pytest.raises(SystemExit):
            main([*command, *bad])
    assert main([*command, "--bound", "-1"]) == 2
