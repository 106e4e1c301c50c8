"""Settings of an experiment: one TOML file per profile, what was chosen for each data set included.

The part below the marker line is written by `python -m studies.paper choose`; the part above
is written by hand and never touched.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from lipsnn import _checks
from lipsnn.datasets import DATASETS
from studies.common.files import whole

PROFILES = ("quick", "full")
# Two ways to settle what the paper leaves open: by validation data, the profiles' own, and as its
# Table 1 shows (paper.toml, by `studies.paper.recover`).
REGIMES = ("validated", "paper")
MARKER = "# Chosen by `python -m studies.paper choose`, on validation data; do not edit."

Settings = Mapping[str, Any]


def settings_path(profile: str) -> Path:
    """The settings file of a profile, or `profile` itself if it is the path of one."""
    if profile in PROFILES:
        return Path(str(files("studies.paper") / "settings" / f"{profile}.toml"))
    path = Path(profile)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no settings file {path}: name a profile ({', '.join(PROFILES)}) or a file"
        )
    return path


def load_settings(profile: str, regime: str = "validated") -> dict[str, Any]:
    """The settings of a profile, or of a TOML file like the two.

    In the regime "paper" they are those of the profile with the parts of paper.toml in the place
    of its own.

    Raises
    ------
    FileNotFoundError
    ValueError
        For a file that is no TOML, or data sets that do not exist.
    """
    _checks.one_of(regime, "regime", REGIMES)
    path = settings_path(profile)
    settings = _read(path)
    if regime == "paper":
        settings |= _read(regime_path(regime)) | {"regime": regime}
    unknown = sorted(set(settings.get("datasets", [])) - set(DATASETS))
    if unknown or not settings.get("datasets"):
        raise ValueError(
            f"{path}: datasets must name some of {', '.join(DATASETS)}, got {unknown or 'none'}"
        )
    return settings


def regime_path(regime: str) -> Path:
    """The settings file of a regime that has its own."""
    return Path(str(files("studies.paper") / "settings" / f"{regime}.toml"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from None


def chosen(settings: Settings, dataset: str) -> dict[str, Any]:
    """What the rule chose for a data set: l2 and lipschitz strengths, and ADMM's penalty.

    One choice may be for all data sets, and beside the mean of squares (``loss``).

    Raises
    ------
    ValueError
        If nothing was chosen yet.
    """
    try:
        choice = settings["chosen"]
        return dict(choice["all"] if "all" in choice else choice[dataset])
    except KeyError:
        raise ValueError(
            f"no strengths were chosen for {dataset}: run `python -m studies.paper choose` "
            "with these settings first"
        ) from None


def write_chosen(path: Path, choice: Mapping[str, Mapping[str, float]]) -> None:
    """Replace what stands below the marker line of a settings file."""
    fixed = path.read_text(encoding="utf8").partition(MARKER)[0].rstrip()
    lines = [fixed, "", MARKER]
    for dataset, values in choice.items():
        lines += ["", f"[chosen.{dataset}]", *(f"{key} = {v!r}" for key, v in values.items())]
    with whole(path) as file:
        file.write(("\n".join(lines) + "\n").encode())
