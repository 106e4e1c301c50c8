import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from studies.peers import figures, packages

mpl.use("Agg")


@pytest.fixture
def rows():
    """Three data sets on which sandwich is best, then refine, then CLIP."""
    place = {"sandwich": 1.0, "refine": 2.0, "CLIP": 3.0}
    return pd.DataFrame(
        [
            {"dataset": d, "split": s, "asked": b, "method": m, "test": v * (1 + s) / b}
            for d in ("servo", "wine", "arm")
            for s in range(3)
            for b in (1.0, 3.0)
            for m, v in place.items()
        ]
    )


def test_curves_are_medians_with_quartiles(rows):
    ax = figures.curves(rows, "test", "error").axes[0]
    lines = {c.get_label(): c for c in ax.containers}
    points = lines["sandwich"][0].get_ydata()
    assert points.tolist() == pytest.approx([2.0, 2 / 3])
    (bars,) = lines["sandwich"][2]
    assert bars.get_segments()[0][:, 1].tolist() == pytest.approx([1.5, 2.5])


def test_curves_over_a_method_are_paired_ratios(rows):
    moved = rows.assign(test=np.where(rows["method"] == "CLIP", rows["test"] ** 2, rows["test"]))
    figure = figures.curves(moved, "test", "error", over="refine")
    lines = {c.get_label(): c for c in figure.axes[0].containers}
    assert lines["refine"][0].get_ydata().tolist() == [1.0, 1.0]
    # 9 (1 + s)^2 / b^2 over 2 (1 + s) / b for s = 0, 1, 2
    assert lines["CLIP"][0].get_ydata().tolist() == pytest.approx([9.0, 3.0])
    assert [ax.get_visible() for ax in figure.axes] == [True, True, True, False]


def test_ranks_over_data_sets(rows):
    found, n, p, difference = figures.ranks(rows, "test")
    assert found.to_dict() == {"sandwich": 1.0, "refine": 2.0, "CLIP": 3.0}
    assert n == 3
    assert p == pytest.approx(0.0498, abs=1e-3)  # chi-square of 6 with 2 degrees of freedom
    assert difference == pytest.approx(2.343 * np.sqrt(3 * 4 / 18), rel=1e-3)  # Demsar, table 5
    with_one = figures.ranks(rows[rows["dataset"] == "servo"], "test")
    assert np.isnan(with_one[2])


def test_ranks_agree_with_scikit_posthocs():
    posthocs = pytest.importorskip("scikit_posthocs", reason=f"needs {packages.INSTALL}")
    rng = np.random.default_rng(0)
    scores = pd.DataFrame(rng.normal(size=(9, 4)).cumsum(axis=1) ** 2 + 1, columns=list("abcd"))
    rows = scores.rename_axis("dataset").reset_index().melt("dataset", var_name="method")
    rows = rows.assign(split=0, asked=1.0)
    found, _, _, difference = figures.ranks(rows, "value")
    p = posthocs.posthoc_nemenyi_friedman(scores)
    apart = abs(found.to_numpy()[:, None] - found.to_numpy()) > difference
    assert ((p.loc[found.index, found.index].to_numpy() < 0.05) == apart).all()


def test_bars_join_what_does_not_differ(rows):
    found, *_ = figures.ranks(rows, "test")
    ax = figures.critical_difference(found, 1.5).axes[0]
    bars = [line.get_xdata().tolist() for line in ax.lines if line.get_linewidth() == 3]
    assert bars == [[1.0, 2.0], [2.0, 3.0]]
    one = figures.critical_difference(found, 2.5).axes[0]
    assert [line.get_xdata().tolist() for line in one.lines if line.get_linewidth() == 3] == [
        [1.0, 3.0]
    ]
