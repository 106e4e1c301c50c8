"""What the recovery is worth: the held-out half of Table 1, beside settings taken at random."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from studies.paper import recover
from studies.paper import recover_rule as rule
from studies.paper.tables import rows_of

OPTIMIZERS = {"adam": "Adam", "plain": "SGD", "sgd": "momentum 0.9"}


def entries_of(table: pd.DataFrame, cells: Iterable[rule.Cell]) -> pd.DataFrame:
    """The rows of a Table 1 that belong to `cells` and that the paper has too."""
    wanted = set(cells)
    ours = [(r.dataset, r.method) in wanted for r in rows_of(table)]
    return table[ours].dropna(subset=["paper_percent"])


def agreement(table: pd.DataFrame) -> dict[str, float]:
    """How well entries of Table 1 agree with the printed ones.

    Parameters
    ----------
    table : DataFrame
        dataset, method, statistic, reduction_percent, paper_percent.

    Returns
    -------
    dict
        entries; signs (how many agree); rank (Spearman's correlation over all); points (median of
        the absolute difference); distance (over the means, see `recover_rule.distance`).
    """
    ours, theirs = table["reduction_percent"], table["paper_percent"]
    means = table[table["statistic"] == "mean"]
    gaps = means["reduction_percent"].map(rule.signed_log) - means["paper_percent"].map(
        rule.signed_log
    )
    return {
        "entries": len(table),
        "signs": int((np.sign(ours) == np.sign(theirs)).sum()),
        "rank": float(spearmanr(ours, theirs).statistic) if len(table) > 2 else float("nan"),
        "points": float((ours - theirs).abs().median()),
        "distance": float(np.sqrt((gaps**2).mean())),
    }


def halves(table: pd.DataFrame, draw: int = 0) -> pd.DataFrame:
    """Agreement of a Table 1 on the used and the held-out half of a draw, in all, and by method.

    Returns
    -------
    DataFrame
        part, and what `agreement` gives.
    """
    used = rule.draw(draw)
    held = [cell for cell in rule.CELLS if cell not in used]
    parts = {"held out": held, "used": list(used), "all": list(rule.CELLS)}
    for _, methods in rule.HALVES.values():
        for method in methods:
            parts[method] = [cell for cell in rule.CELLS if cell[1] == method]
    return pd.DataFrame(
        [{"part": name} | agreement(entries_of(table, cells)) for name, cells in parts.items()]
    )


def disagreeing(table: pd.DataFrame) -> pd.DataFrame:
    """The entries whose sign is not the printed one."""
    found = table.dropna(subset=["paper_percent"])
    return found[np.sign(found["reduction_percent"]) != np.sign(found["paper_percent"])]


def by_draw(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """For each draw and half, its choice on the UCI cells that it held out, beside chance.

    The means alone are compared, and the first stage alone, in which every setting of the search
    has the same trial. Chance is the median over all settings of the search.

    Parameters
    ----------
    tables : dict
        See `recover.recover`.

    Returns
    -------
    DataFrame
        problem, draw; used, the distance from the cells that the draw used; and on the held-out
        ones held_out (the distance), signs, rank and points of `agreement`, each with its
        `*_chance`; beaten, the share of the settings that are farther from them; cells, how many.
    """
    rows: list[dict[str, Any]] = []
    for problem, setting in recover.SETTING.items():
        table = tables[f"recover_{problem}"]
        first = table[table["stage"] == 1]
        found = _by_setting(first, problem)
        chosen = tables["recover_choice"]
        for r in rows_of(chosen[chosen["problem"] == problem]):
            used = rule.draw(r.draw)
            held = [c for c in rule.CELLS if c not in used and c[1] in rule.HALVES[problem][1]]
            of_all = pd.DataFrame([_held_out(cells, held) for cells in found.values()])
            own = tuple(getattr(r, column) for column in setting)
            mine = _held_out(found[own], held)
            chance = {f"{name}_chance": float(of_all[name].median()) for name in mine}
            rows.append(
                {"problem": problem, "draw": r.draw, "used": rule.distance(found[own], used)}
                | mine
                | chance
                | {"beaten": float((of_all["held_out"] > mine["held_out"]).mean())}
                | {"cells": sum(cell in found[own] for cell in held)}
            )
    return pd.DataFrame(rows)


def _by_setting(first: pd.DataFrame, problem: str) -> dict[tuple[Any, ...], dict[rule.Cell, float]]:
    """The mean reductions on the UCI sets, of each setting that did not diverge."""
    found = {}
    whole = len(rule.MEASURED) * len(rule.HALVES[problem][1])
    table = recover.reductions(first, problem)
    for setting, part in table.groupby(recover.SETTING[problem], sort=False):
        cells = {(r.dataset, r.method): float(r.percent) for r in rows_of(part)}
        if len(cells) == whole:
            found[tuple(setting)] = cells
    return found


def _held_out(cells: dict[rule.Cell, float], held: list[rule.Cell]) -> dict[str, float]:
    asked = [cell for cell in held if cell in cells]
    table = pd.DataFrame(
        [
            {"statistic": "mean", "reduction_percent": cells[cell]}
            | {"paper_percent": rule.table1(*cell, "mean")}
            for cell in asked
        ]
    )
    found = agreement(table)
    return {"held_out": found["distance"]} | {k: found[k] for k in ("signs", "rank", "points")}


def cells_of(table: pd.DataFrame, problem: str, setting: dict[Any, Any]) -> dict[rule.Cell, float]:
    """The mean reductions of one setting on the UCI sets."""
    found = recover.reductions(table, problem)
    own = np.all([found[k] == setting[k] for k in recover.SETTING[problem]], axis=0)
    rows = found[own & (found["dataset"] != rule.DRAWN)].to_dict("records")
    return {(r["dataset"], r["method"]): float(r["percent"]) for r in rows}


def nearby(table: pd.DataFrame, draw: int = 0) -> pd.DataFrame:
    """What varying the settings that the search holds does to the distances from the table.

    Parameters
    ----------
    table : DataFrame
        See `recover.nearby`.

    Returns
    -------
    DataFrame
        problem, varied, value; used and held_out, the distances from the draw's cells and from
        the others with the variation in place; and the mean reduction of each method over the
        data sets, in points more than without it.
    """
    keys = ["problem", "varied", "value"]
    sums = table.groupby([*keys, "dataset", "method"], sort=False)[
        ["initial_objective", "objective"]
    ].sum()
    cells: dict[tuple[str, str, int], dict[rule.Cell, float]] = {}
    for r in sums.reset_index().to_dict("records"):
        percent = 100 * (1 - r["objective"] / r["initial_objective"])
        own = cells.setdefault((r["problem"], r["varied"], int(r["value"])), {})
        own[r["dataset"], r["method"]] = float(percent)
    rows: list[dict[str, Any]] = []
    used = rule.draw(draw)
    for (problem, varied, value), part in cells.items():
        chosen = cells[problem, "choice", 0]
        found = chosen | part
        row: dict[str, Any] = {"problem": problem, "varied": varied, "value": value}
        row["used"] = rule.distance(found, [c for c in found if c in used])
        row["held_out"] = rule.distance(found, [c for c in found if c not in used])
        for method in rule.HALVES[problem][1]:
            row[method] = float(np.mean([found[c] - chosen[c] for c in found if c[1] == method]))
        rows.append(row)
    return pd.DataFrame(rows)


def predictions(table: pd.DataFrame, problem: str, draw: int = 0, count: int = 4) -> pd.DataFrame:
    """The nearest settings of a draw, and what each gives for every cell; the printed row last.

    Returns
    -------
    DataFrame
        ("", "setting") in words, ("", "distance"), then (dataset, method) for each cell.
    """
    near = recover.distances(table[table["stage"] == 1], problem, rule.draw(draw), 1).head(count)
    cells = [c for c in rule.CELLS if c[1] in rule.HALVES[problem][1] and c[0] != rule.DRAWN]
    rows = []
    for r in near.to_dict("records"):
        found = cells_of(table[table["stage"] == 1], problem, r)
        row = {("", "setting"): in_words(r, problem), ("", "distance"): r["distance"]}
        rows.append(row | {cell: found[cell] for cell in cells})
    theirs = {cell: rule.table1(*cell, "mean") for cell in cells}
    return pd.DataFrame([*rows, {("", "setting"): "printed"} | theirs])


def in_words(setting: Mapping[Any, Any], problem: str) -> str:
    """One setting of the search."""
    s = setting
    strength = f"{s['strength']:g} n" if s["loss"] == "mean" else f"{s['strength']:g}"
    if problem == "l2":
        batch = f"batches of {s['batch_size']:.0f}" if s["batch_size"] else "full batch"
        return (
            f"{OPTIMIZERS[s['optimizer']]} at {s['learning_rate']:g}, {batch}, "
            f"{s['epochs']:.0f} epochs, strength {strength}"
        )
    return (
        f"rate {s['learning_rate']:g}, penalty {s['penalty']:g}, {s['iterations']:.0f} iterations, "
        f"strength {strength}, {s['rounds']:.0f} rounds"
    )
