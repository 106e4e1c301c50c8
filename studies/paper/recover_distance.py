"""How far the settings that the recovery tried are from the paper's Table 1."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from studies.paper import recover_rule as rule

# What tells settings apart, in each half; the station is the last.
SETTING = {
    "l2": ["optimizer", "learning_rate", "batch_size", "loss", "strength", "epochs"],
    "lipschitz": ["loss", "strength", "penalty", "learning_rate", "iterations", "rounds"],
}


def reductions(table: pd.DataFrame, problem: str) -> pd.DataFrame:
    """Reduction of the mean objective in per cent, of each setting tried.

    Returns
    -------
    DataFrame
        The columns of `SETTING`, dataset, dimension (0 but for rastrigin), method, percent,
        trials.
    """
    keys = [*SETTING[problem], "dataset", "dimension", "method"]
    groups = table.groupby(keys, sort=False)
    sums = groups[["initial_objective", "objective"]].sum()
    found = pd.DataFrame({"percent": 100 * (1 - sums["objective"] / sums["initial_objective"])})
    return found.assign(trials=groups["trial"].nunique()).reset_index()


def distances(
    table: pd.DataFrame, problem: str, cells: Iterable[rule.Cell], trials: int
) -> pd.DataFrame:
    """How far each setting is from the paper's table over `cells`.

    Parameters
    ----------
    trials : int
        Settings with fewer of them, on any of the UCI sets, are left out, and so are runs that
        diverged.

    Returns
    -------
    DataFrame
        The columns of `SETTING`, distance, and the dimension of rastrigin that makes it least
        (0 where there is no rastrigin, or `cells` have none of it). Nearest first, ties as the
        rule has them.
    """
    wanted = sorted(cell for cell in cells if cell[1] in _methods(problem))
    of_drawn = [cell for cell in wanted if cell[0] == rule.DRAWN]
    rows = []
    for setting, part in reductions(table, problem).groupby(SETTING[problem], sort=False):
        measured = part[part["dataset"] != rule.DRAWN]
        if measured["dataset"].nunique() < len(rule.MEASURED) or measured["trials"].min() < trials:
            continue
        found = _cells(measured)
        by_dimension = part[part["dataset"] == rule.DRAWN].groupby("dimension")
        drawn = {int(str(d)): _cells(p) for d, p in by_dimension}
        if of_drawn and drawn:
            near, dimension = min(
                (rule.distance({**found, **more}, wanted), d) for d, more in drawn.items()
            )
        else:
            near, dimension = rule.distance(found, wanted), 0
        named = dict(zip(SETTING[problem], setting, strict=True))
        rows.append(named | {"distance": near, "dimension": dimension})
    columns = [*SETTING[problem], "distance", "dimension"]
    station = SETTING[problem][-1]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["distance", station], kind="stable", ignore_index=True
    )


def _cells(found: pd.DataFrame) -> dict[rule.Cell, float]:
    rows = found[["dataset", "method", "percent"]].to_dict("records")
    return {(r["dataset"], r["method"]): float(r["percent"]) for r in rows}


def _methods(problem: str) -> tuple[str, ...]:
    return rule.HALVES[problem][1]
