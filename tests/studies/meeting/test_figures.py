import matplotlib as mpl
import pandas as pd
import pytest

from studies.meeting import figures

mpl.use("Agg")


def test_the_trade_off_is_the_mean_over_the_splits():
    rows = pd.DataFrame(
        {
            "dataset": "servo",
            "method": ["CLIP", "CLIP", "joint"],
            "setting": [1.0, 1.0, 1.0],
            "bound": [2.0, 4.0, 1.0],
            "test": [0.1, 0.3, 0.2],
            "test_0.2": [1.0, 2.0, 1.0],
        }
    )
    left, right = figures.tradeoff(rows, "test_0.2", "attacked").axes
    lines = {line.get_label(): line for line in left.lines}
    assert lines["CLIP"].get_xdata().tolist() == [3.0]
    assert lines["CLIP"].get_ydata().tolist() == [pytest.approx(0.2)]
    assert right.get_ylabel() == "attacked"
