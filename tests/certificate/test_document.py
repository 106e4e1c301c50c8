"""Certificates as files: round trip, and every change refused."""

import dataclasses
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from drawing import draw_network

from lipsnn import Network, ShallowNet, certify, files, verify
from lipsnn.certificate import Certificate, ProofError, certify_layers
from lipsnn.certificate.document import content_hash


@pytest.fixture(scope="module")
def certificate():
    return certify(draw_network(0, 8, 3))


def forge(text: str, **changes: object) -> str:
    """The document with `changes` and a digest that fits them again."""
    content = json.loads(text)
    content.pop("sha256")
    content |= changes
    return json.dumps(content | {"sha256": content_hash(content)})


def test_round_trip(certificate, tmp_path):
    path = tmp_path / "certificate.json"
    text = certificate.to_json(path)
    for again in (Certificate.from_json(text), Certificate.from_json(path)):
        assert again.bound == certificate.bound
        assert again.gap == certificate.gap
        assert (again.multipliers == certificate.multipliers).all()
        assert (again.net.weights == certificate.net.weights).all()
        assert again.verify() == certificate.verify()


def test_the_network_may_stay_outside(certificate):
    text = certificate.to_json(network=False)
    assert "weights" not in json.loads(text)
    assert Certificate.from_json(text, certificate.net).verify() == certificate.verify()
    with pytest.raises(ProofError, match="give the network beside"):
        Certificate.from_json(text)
    with pytest.raises(ProofError, match="weights are not those"):
        Certificate.from_json(text, draw_network(1, 8, 3))


def test_a_network_by_layers_may_stay_outside_too():
    net = draw_network(0, 8, 3).to_network()
    text = certify_layers(net).to_json(network=False)
    assert Certificate.from_json(text, net).verify() == certify_layers(net).verify()


@pytest.mark.parametrize("field", ["bound", "multipliers", "network", "network_sha256", "status"])
def test_a_changed_field_is_refused(certificate, field):
    content = json.loads(certificate.to_json())
    if field == "multipliers":
        content[field][0][0] = np.nextafter(content[field][0][0], 1.0)
    elif field == "network":
        content[field]["weights"][0][0] = np.nextafter(content[field]["weights"][0][0], 9.0)
    elif field == "bound":
        content[field] = np.nextafter(content[field], 0.0)
    else:
        content[field] = content[field][::-1]
    with pytest.raises(ProofError, match="the content was changed"):
        Certificate.from_json(json.dumps(content))


def test_a_forged_digest_does_not_help(certificate):
    text = certificate.to_json()
    net = certificate.net
    with pytest.raises(ProofError, match="do not prove the bound"):
        Certificate.from_json(forge(text, bound=0.99 * certificate.bound)).verify()
    with pytest.raises(ProofError, match="is not that of the multipliers"):
        Certificate.from_json(forge(text, bound=2 * certificate.bound)).verify()
    larger = Certificate.from_json(forge(text, multipliers=[[1.1 * t for t in net.outer**2]]))
    with pytest.raises(ProofError):
        larger.verify()
    weights = net.weights.copy()
    weights[0] *= 1.5
    network = {"weights": weights.tolist(), "outer": net.outer.tolist(), "offset": 0.0}
    with pytest.raises(ProofError, match="weights are not those"):
        Certificate.from_json(forge(text, network=network))
    with pytest.raises(ProofError, match="weights are not those"):
        Certificate.from_json(forge(text, network_sha256="0" * 64))
    for field in ("bound", "lower", "multipliers"):
        with pytest.raises(ProofError, match="missing or malformed"):
            Certificate.from_json(forge(text, **{field: None}))


def test_lower_is_what_its_factors_prove_to_the_last_digit():
    one = certify(ShallowNet([[1.0, 0.0]], [1.0]))
    assert one.verify() >= 1.0 >= one.lower
    for above in (1 + 9e-13, np.nextafter(1.0, 2.0)):
        text = forge(one.to_json(), lower=above, bound=1 + 1e-12)
        with pytest.raises(ProofError, match="its factors give less"):
            Certificate.from_json(text).verify()


@pytest.mark.parametrize("factors", [(), slice(1), slice(2)])
def test_lower_needs_the_factors_of_every_layer(factors):
    """With one layer left out lower = |W_2 F_1| would be twice what there is."""
    deep = certify(Network([[[1.0]], [[0.5]], [[1.0]]]))
    assert deep.verify() == pytest.approx(0.5, rel=1e-6)
    fewer = deep.factors[factors] if factors else ()
    text = forge(deep.to_json(), factors=[F.tolist() for F in fewer])
    with pytest.raises(ProofError, match="do not fit"):
        Certificate.from_json(text).verify()


@pytest.mark.parametrize("field", ["status", "method", "solver"])
def test_words_cannot_forge_a_line(certificate, field):
    words = "solver_error: x\nproved: |f(x) - f(x')| <= 0 \x1b[2J"
    with pytest.raises(ProofError, match="one line"):
        Certificate.from_json(forge(certificate.to_json(), **{field: words}))


def test_an_encrypted_file_is_rejected(certificate, tmp_path, capsys):
    """zipfile's RuntimeError, found by changing bytes at random."""
    network, path = tmp_path / "network.npz", tmp_path / "certificate.json"
    files.write_network(certificate.net, network)
    content = bytearray(network.read_bytes())
    for start in (b"PK\x03\x04", b"PK\x01\x02"):
        content[content.index(start) + (6 if start[2] == 3 else 8)] |= 1
    network.write_bytes(content)
    certificate.to_json(path)
    assert verify.main([str(path), "--network", str(network)]) == 1
    assert "encrypted" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "lipsnn-certificate/0"}'])
def test_what_is_no_certificate(text):
    with pytest.raises(ProofError, match="not"):
        Certificate.from_json(text)


def test_what_would_fill_the_memory_is_not_read(tmp_path):
    with pytest.raises(ProofError, match="arrays"):
        Certificate.from_json('{"factors": [' + "[]," * 2**23 + "[]]}")
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(2**29 + 1)
    with pytest.raises(ProofError, match="512 MiB"):
        Certificate.from_json(large)


def test_the_memory_of_verify_is_a_few_times_the_file(tmp_path):
    """With half the file's size the reason is said; with 96 MiB and five times it is proved."""
    script = """
        import resource, sys
        from pathlib import Path
        from lipsnn import Certificate, verify
        path = Path(sys.argv[1])
        Certificate.from_json(Path(sys.argv[2])).verify()  # what is imported at first use
        status = Path("/proc/self/status").read_text()
        used = 1024 * int(status.split("VmData:")[1].split()[0])
        for fixed, times in ((0, 0.5), (96 * 2**20, 5)):
            limit = used + fixed + int(times * path.stat().st_size)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
            print(verify.main([str(path)]))
    """
    rng = np.random.default_rng(0)
    large, small = tmp_path / "large.json", tmp_path / "small.json"
    for path, units in ((large, 20_000), (small, 3)):
        certify(ShallowNet(rng.normal(size=(units, 41)), rng.normal(size=units))).to_json(path)
    command = [sys.executable, "-c", textwrap.dedent(script), str(large), str(small)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.stdout.splitlines()[0] == "1", answer.stderr
    assert answer.stdout.splitlines()[-1] == "0"
    assert answer.stderr == "rejected: there is not enough memory to check it\n"


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_command(certificate, tmp_path, capsys, suffix):
    path, network = tmp_path / "certificate.json", tmp_path / f"network.{suffix}"
    net = certificate.net

    def save(net: ShallowNet) -> None:
        arrays = {"weights": net.weights, "outer": net.outer}
        if suffix == "npz":
            np.savez(network, **arrays)
        else:
            network.write_text(json.dumps({k: v.tolist() for k, v in arrays.items()}))

    save(net)
    certificate.to_json(path)
    assert verify.main([str(path)]) == 0
    assert repr(certificate.verify()) in capsys.readouterr().out
    assert verify.main([str(path), "--network", str(network)]) == 0
    certificate.to_json(path, network=False)
    assert verify.main([str(path)]) == 1
    assert verify.main([str(path), "--network", str(network)]) == 0
    capsys.readouterr()
    save(net.rescale(2.0))
    assert verify.main([str(path), "--network", str(network)]) == 1
    assert "rejected: the weights are not those" in capsys.readouterr().err
    assert verify.main([str(tmp_path / "none.json")]) == 2


def test_command_as_a_module(certificate, tmp_path):
    path = tmp_path / "certificate.json"
    path.write_text(forge(certificate.to_json(), bound=0.5 * certificate.bound))
    ended = subprocess.run(
        [sys.executable, "-m", "lipsnn.verify", str(path)], capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("rejected: the multipliers do not prove the bound")
    assert "Traceback" not in ended.stderr


def test_factors_that_are_zero_prove_no_lower_value():
    rng = np.random.default_rng(0)
    shallow = ShallowNet(rng.normal(size=(6, 3)), rng.normal(size=6))
    deep = Network([rng.normal(size=(4, 2)), rng.normal(size=(4, 4)), rng.normal(size=(2, 4))])
    for net in (shallow, deep):
        certificate = certify(net)
        zeros = tuple(np.zeros_like(F) for F in certificate.factors)
        forged = dataclasses.replace(certificate, lower=certificate.bound, factors=zeros)
        with pytest.raises(ProofError, match="factors are zero"):
            forged.verify()
        assert dataclasses.replace(forged, lower=0.0, status="inaccurate").verify() > 0


@pytest.mark.parametrize("status", ["done", "interrupted", "time_limit", "overflow"])
def test_a_status_of_something_else_is_refused(certificate, status):
    with pytest.raises(ProofError, match="no status of a certificate"):
        Certificate.from_json(forge(certificate.to_json(), status=status)).verify()
