"""What the recovery is worth: the held-out half of Table 1, beside settings taken at random."""

from __future__ import annotations

from collections.abc import Iterable
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
    has the same trial.

    Parameters
    ----------
    tables : dict
        See `recover.recover`.

    Returns
    -------
    DataFrame
        problem, draw, the distances of the choice from the used and from the held-out cells, the
        median over all settings of the latter (chance), and beaten: the share of the settings
        that are farther from the held-out cells than the choice is; signs, of cells.
    """
    rows: list[dict[str, Any]] = []
    for problem, setting in recover.SETTING.items():
        table = tables[f"recover_{problem}"]
        first = table[table["stage"] == 1]
        chosen = tables["recover_choice"]
        for r in chosen[chosen["problem"] == problem].to_dict("records"):
            used = rule.draw(r["draw"])
            held = [c for c in rule.CELLS if c not in used and c[0] != rule.DRAWN]
            chance = recover.distances(first, problem, held, 1)
            near = recover.distances(first, problem, [c for c in used if c[0] != rule.DRAWN], 1)
            own = np.all([chance[k] == r[k] for k in setting], axis=0)
            of_own = np.all([near[k] == r[k] for k in setting], axis=0)
            at = float(chance.loc[own, "distance"].iloc[0])
            cells = cells_of(first, problem, r)
            asked = [c for c in held if c in cells]
            signs = [np.sign(cells[c]) == np.sign(rule.table1(*c, "mean") or 0) for c in asked]
            rows.append(
                {"problem": problem, "draw": r["draw"]}
                | {"used": float(near.loc[of_own, "distance"].iloc[0]), "held_out": at}
                | {"chance": float(chance["distance"].median())}
                | {"beaten": float((chance["distance"] > at).mean())}
                | {"signs": int(sum(signs)), "cells": len(asked)}
            )
    return pd.DataFrame(rows)


def cells_of(table: pd.DataFrame, problem: str, setting: dict[Any, Any]) -> dict[rule.Cell, float]:
    """The mean reductions of one setting on the UCI sets."""
    found = recover.reductions(table, problem)
    own = np.all([found[k] == setting[k] for k in recover.SETTING[problem]], axis=0)
    rows = found[own & (found["dataset"] != rule.DRAWN)].to_dict("records")
    return {(r["dataset"], r["method"]): float(r["percent"]) for r in rows}


def predictions(table: pd.DataFrame, problem: str, draw: int = 0, count: int = 4) -> pd.DataFrame:
    """The nearest settings of a draw, and what each gives for every cell; the printed row last.

    Returns
    -------
    DataFrame
        The columns of `recover.SETTING`, distance, then "dataset method" for each cell.
    """
    near = recover.distances(table[table["stage"] == 1], problem, rule.draw(draw), 1).head(count)
    cells = [c for c in rule.CELLS if c[1] in rule.HALVES[problem][1] and c[0] != rule.DRAWN]
    rows = []
    for r in near.to_dict("records"):
        found = cells_of(table[table["stage"] == 1], problem, r)
        rows.append({k: r[k] for k in [*recover.SETTING[problem], "distance"]})
        rows[-1] |= {f"{d} {m}": found[d, m] for d, m in cells}
    rows.append({f"{d} {m}": rule.table1(d, m, "mean") for d, m in cells})
    return pd.DataFrame(rows)


def in_words(choices: pd.DataFrame, draw: int = 0) -> str:
    """What a draw chose, in one sentence."""
    rows = {r.problem: r for r in rows_of(choices[choices["draw"] == draw])}
    left, right = rows["l2"], rows["lipschitz"]
    batch = f"batches of {left.batch_size:.0f}" if left.batch_size else "the full batch"
    return (
        f"{OPTIMIZERS[left.optimizer]} at the constant rate {left.learning_rate:g} with {batch} "
        f"for {left.epochs:.0f} epochs, lam_reg {_beside(left)}, rastrigin of dimension "
        f"{left.dimension:.0f}; then ADMM at rate {right.learning_rate:g}, penalty "
        f"{right.penalty:g}, {right.iterations:.0f} iterations, lam_lip {_beside(right)}, "
        f"{right.rounds:.0f} rounds of Algorithm 1, rastrigin of dimension {right.dimension:.0f}"
    )


def _beside(row: Any) -> str:
    return f"{row.strength:g} n" if row.loss == "mean" else f"{row.strength:g}"
