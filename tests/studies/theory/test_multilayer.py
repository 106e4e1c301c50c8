import matplotlib as mpl
import numpy as np
import pandas as pd

from studies.theory import multilayer

mpl.use("Agg")


def test_pattern_parts_near_from_far_blocks():
    full = np.ones((3, 3))
    near = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    axes = multilayer.pattern({"near": near, "full": full}, [1, 1, 1], ["a", "b", "c"]).axes
    counts = [[len(points.get_offsets()) for points in ax.collections] for ax in axes]
    assert counts == [[7, 0], [7, 2]]


def test_enclosure_and_margins():
    table = pd.DataFrame({"iterations": [1, 2], "bound": [3.0, 2.0], "lower": [1.0, 2.0]})
    (ax,) = multilayer.enclosure(table, 0.5).axes
    assert len(ax.lines) == 3
    bounds = np.array([[0.0, 1.0], [1.0, 0.0]])
    ax = multilayer.margins(bounds, np.sqrt(0.5)).axes[0]
    assert [text.get_text() for text in ax.texts] == ["1.00", "1.00"]


def test_benchmark_divides_by_the_exact_value():
    rows = [
        {"method": m, "depth": d, "width": 20, "cpu_seconds": 1.0, "bound": b * d}
        for m, b in (("lipsdp-neuron", 1.0), ("product", 3.0), ("plain-lmi", np.nan))
        for d in (2, 5)
    ]
    figure = multilayer.benchmark(pd.DataFrame(rows))
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    assert lines["product of norms"].tolist() == [3.0, 3.0]
    assert len(lines["LMI, CVXPY"]) == 0
