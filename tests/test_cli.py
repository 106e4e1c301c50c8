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
    [("", "header"), ("a,y\n1,2,3\n", "fields"), ("a,y\nred,2\n", "not numeric")],
)
def test_tables_that_are_none(text, word, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=word):
        files.read_data(path, "y")


@pytest.mark.parametrize("command", [[], ["certify"], ["refine"], ["verify"]])
def test_help_teaches(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "exit codes" in out
    assert f"lipsnn {''.join(command)}" in out
