"""The tables of section 4, from the rows of single trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from studies.common.runner import Outcome
from studies.paper import printed

TRIALS = (
    "regime",
    "dataset",
    "trial",
    "problem",
    "base",
    "method",
    "objective",
    "initial_objective",
    "loss",
    "bound",
    "seconds",
    "status",
)
ATTACKS = ("regime", "dataset", "base", "model", "trial", "norm", "radius", "mse")
ENCLOSED = (*ATTACKS[:5], "radius", "mse", "reached", "certified")
TIMES = ("regime", "dataset", "trial", "problem", "base", "step", "seconds")


def trials_of(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """A row per trial and method; for a trial that failed one row, with the error as status."""
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        if outcome.value is not None:
            rows += [regime_of(outcome) | row for row in outcome.value["trials"]]
            continue
        named = _named(outcome)
        rows.append({**named, "seconds": outcome.seconds, "status": f"failed: {outcome.error}"})
    return pd.DataFrame(rows, columns=list(TRIALS))


def attacks_of(outcomes: Iterable[Outcome], enclosed: bool = False) -> pd.DataFrame:
    """A row per trial, model and attack size; if `enclosed`, those of `trial`'s enclosures."""
    name, columns = ("enclosed", ENCLOSED) if enclosed else ("attacks", ATTACKS)
    rows = [
        regime_of(outcome) | row
        for outcome in outcomes
        for row in (outcome.value or {}).get(name, [])
    ]
    return pd.DataFrame(rows, columns=list(columns))


def times_of(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """Seconds of each step of each trial; what no step accounts for is "other"."""
    rows = []
    for outcome in outcomes:
        if outcome.value is None:
            continue
        named = _named(outcome)
        steps = outcome.value["seconds"]
        rest = max(0.0, outcome.seconds - sum(steps.values()))
        rows += [named | {"step": k, "seconds": v} for k, v in {**steps, "other": rest}.items()]
    return pd.DataFrame(rows, columns=list(TIMES))


def in_regime(table: pd.DataFrame, regime: str) -> pd.DataFrame:
    """The rows of one regime, without that column."""
    if table.empty:
        return table
    return table[table["regime"] == regime].drop(columns="regime").reset_index(drop=True)


def regime_of(outcome: Outcome) -> dict[str, str]:
    """How what the paper leaves open was settled; see `settings.REGIMES`."""
    return {"regime": outcome.task.get("regime", "validated")}


def _named(outcome: Outcome) -> dict[str, Any]:
    keys = ("dataset", "trial", "problem", "base")
    return regime_of(outcome) | {name: outcome.task[name] for name in keys}


def pop_labels(task: dict[str, Any]) -> dict[str, Any]:
    """Take from a sensitivity task what it is compared by, which its numbers do not depend on.

    Returns
    -------
    dict
        choice: the setting that is moved, or "none"; factor: by how much.
    """
    return {"choice": task.pop("choice", "") or "none", "factor": task.pop("factor", 1.0)}


def labelled(
    table_of: Callable[[list[Outcome]], pd.DataFrame],
    labels: Iterable[dict[str, Any]],
    outcomes: Iterable[Outcome],
) -> pd.DataFrame:
    """The rows that `table_of` makes of each outcome, behind its labels."""
    parts = []
    for label, outcome in zip(labels, outcomes, strict=True):
        part = table_of([outcome])
        if not part.empty:
            parts.append(pd.concat([pd.DataFrame([label] * len(part)), part], axis=1))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def table1(trials: pd.DataFrame) -> pd.DataFrame:
    """Table 1: how much lower the minimum, maximum and mean objective over the trials become.

    These are reductions ``100 (base - ours) / base`` of statistics, not statistics of reductions
    (the paper's entries allow no other reading: servo's samp-l2 has min > max > mean).

    Parameters
    ----------
    trials : DataFrame
        See `trials_of`. Trials that failed are left out.

    Returns
    -------
    DataFrame
        dataset, problem, method, statistic, reduction_percent, paper_percent (where the paper has
        that entry), trials (how many it rests on).
    """
    rows = []
    done = trials.dropna(subset=["objective"])
    for problem, (base, paper_methods) in printed.HALVES.items():
        half = done[(done["problem"] == problem) & (done["base"] == base)]
        others = [m for m in half["method"].unique() if m not in ("base", *paper_methods)]
        for dataset in in_paper_order(half["dataset"], printed.DATASETS):
            for method in (*paper_methods, *others):
                part = half[(half["dataset"] == dataset) & (half["method"] == method)]
                if part.empty:
                    continue
                before = part["initial_objective"].agg(list(printed.STATISTICS))
                after = part["objective"].agg(list(printed.STATISTICS))
                for statistic, reduction in (100 * (before - after) / before).items():
                    rows.append(
                        {
                            "dataset": dataset,
                            "problem": problem,
                            "method": method,
                            "statistic": statistic,
                            "reduction_percent": reduction,
                            "paper_percent": printed.table1(dataset, method, str(statistic)),
                            "trials": part["trial"].nunique(),
                        }
                    )
    columns = ["dataset", "problem", "method", "statistic"]
    columns += ["reduction_percent", "paper_percent", "trials"]
    return pd.DataFrame(rows, columns=columns).astype({"paper_percent": float})


def conclusions(table: pd.DataFrame, column: str = "reduction_percent") -> pd.DataFrame:
    """What the paper reads from its Table 1, held against the entries of `column`.

    Parameters
    ----------
    table : DataFrame
        See `table1`.
    column : str
        "paper_percent" for the paper's own entries.

    Returns
    -------
    DataFrame
        conclusion, entries (for how many it holds), of (how many it speaks of).
    """
    wide = table.pivot(index=["dataset", "statistic"], columns="method", values=column)
    wide = wide.reindex(columns=["C-l2", "samp-l2", "C-lip", "samp-lip"])
    by_size = wide[wide.index.get_level_values("dataset").isin(("rastrigin", "wine"))]
    claims = {
        "C-l2 is below the SGD base": wide["C-l2"] > 0,
        "C-lip is below the ADMM base": wide["C-lip"] > 0,
        "C-l2 is below samp-l2": wide["C-l2"] > wide["samp-l2"],
        "C-lip is below samp-lip": wide["C-lip"] > wide["samp-lip"],
        "on rastrigin and wine, samp-l2 is above the SGD base": by_size["samp-l2"] < 0,
        "samp-lip is above the ADMM base": wide["samp-lip"] < 0,
        "C-lip gains less over ADMM than C-l2 over SGD": wide["C-lip"] < wide["C-l2"],
    }
    speaks = {
        name: (by_size if "wine" in name else wide)[
            [method for method in wide if method in name.replace(",", "").split()]
        ]
        .notna()
        .all(axis=1)
        for name in claims
    }
    return pd.DataFrame(
        [
            {"conclusion": name, "entries": int((holds & speaks[name]).sum())}
            | {"of": int(speaks[name].sum())}
            for name, holds in claims.items()
        ]
    )


def by(
    table: pd.DataFrame, labels: Sequence[str], summary: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """`summary` of the rows of each setting or regime, behind its labels.

    Parameters
    ----------
    table : DataFrame
        Columns `labels`, and those that `summary` reads.
    labels : sequence of str
        What tells the groups apart: ``choice`` and ``factor`` of a sensitivity run, or ``regime``.
    summary : callable
        From rows to a table, `table1` say.
    """
    parts = []
    for values, part in table.groupby(list(labels), sort=False):
        found = summary(part).drop(columns=list(labels), errors="ignore")
        label = pd.DataFrame([dict(zip(labels, values, strict=True))] * len(found))
        parts.append(pd.concat([label, found.reset_index(drop=True)], axis=1))
    return pd.concat(parts, ignore_index=True) if parts else summary(table)


def medians(attacks: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles over the trials, for each model and attack size.

    Returns
    -------
    DataFrame
        dataset, base, model, radius, lower, median, upper, trials.
    """
    groups = attacks.astype({"mse": float}).groupby(
        ["dataset", "base", "model", "radius"], sort=False
    )["mse"]
    parts = {"lower": groups.quantile(0.25), "median": groups.median()}
    parts |= {"upper": groups.quantile(0.75), "trials": groups.size()}
    return pd.DataFrame(parts).reset_index()


def winners(attacks: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """At how many attack sizes each of `models` has the lowest median; all that tie count.

    Returns
    -------
    DataFrame
        dataset, base, model, lowest, sizes.
    """
    rows = []
    middle = medians(attacks[attacks["model"].isin(models)])
    for (dataset, base), part in middle.groupby(["dataset", "base"], sort=False):
        by_size = part.pivot(index="radius", columns="model", values="median")
        lowest = by_size.eq(by_size.min(axis=1), axis=0).sum()
        rows += [
            {"dataset": dataset, "base": base, "model": model, "lowest": int(lowest[model])}
            | {"sizes": len(by_size)}
            for model in models
            if model in lowest
        ]
    return pd.DataFrame(rows, columns=["dataset", "base", "model", "lowest", "sizes"])


def statement(attacks: pd.DataFrame) -> pd.DataFrame:
    """The paper's statement on Figure 1, row by row, among its own three models.

    Returns
    -------
    DataFrame
        dataset, base, named (whether the paper names it), lowest_MODEL for each of its models (at
        how many sizes it has the lowest median), sizes, throughout (the model that has it at all
        of them, or ""), holds (where named: whether that is C-lip; missing elsewhere).
    """
    counts = winners(attacks, printed.MODELS)
    rows = []
    for dataset in in_paper_order(counts["dataset"], printed.DATASETS):
        for base in in_paper_order(counts["base"], printed.BASES):
            part = counts[(counts["dataset"] == dataset) & (counts["base"] == base)]
            if part.empty:
                continue
            sizes = int(part["sizes"].iloc[0])
            lowest = dict(zip(part["model"], part["lowest"], strict=True))
            all_sizes = [model for model, count in lowest.items() if count == sizes]
            named = (dataset, base) in printed.LOWEST_THROUGHOUT
            rows.append(
                {"dataset": dataset, "base": base, "named": named, "sizes": sizes}
                | {f"lowest_{model}": count for model, count in lowest.items()}
                | {"throughout": " and ".join(all_sizes)}
                | {"holds": all_sizes == ["C-lip"] if named else None}
            )
    columns = ["dataset", "base", "named", *(f"lowest_{model}" for model in printed.MODELS)]
    columns += ["sizes", "throughout", "holds"]
    return pd.DataFrame(rows, columns=columns)


def rows_of(table: pd.DataFrame) -> list[Any]:
    """The rows, with the columns as attributes, for a type checker that knows no columns."""
    return list(table.itertuples())


def in_paper_order(found: Iterable[str], order: Sequence[str]) -> list[str]:
    """The distinct names in `found`: those of `order` first and in its order."""
    names = list(dict.fromkeys(found))
    return [name for name in order if name in names] + [n for n in names if n not in order]
