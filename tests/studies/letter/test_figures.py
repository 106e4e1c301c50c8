import matplotlib.pyplot as plt
import pandas as pd
import pytest

from studies.letter import figures


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_rounds_draw_a_line_per_network_and_kind():
    rows = [
        {"network": n, "kind": k, "round": r, "loss": 1.0 / r, "bound": 2.0, "primal": 0.1}
        for n in ("lipschitz", "enforced")
        for k in ("constant", "falling")
        for r in (1, 2)
    ]
    for ax in figures.rounds(pd.DataFrame(rows)).axes:
        assert len(ax.lines) == 4


def test_accuracies_in_percent_a_panel_per_example():
    rows = [
        {"panel": p, "network": n, "bound": 3.0, "test_accuracy": 0.5}
        for p in ("a", "b")
        for n in figures.NAMES
    ]
    axes = figures.accuracies(pd.DataFrame(rows)).axes
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    assert axes[0].lines[0].get_ydata().tolist() == [50.0]


def test_noise_is_averaged_over_the_seeds():
    rows = [
        {"example": "8x8", "seed": s, "network": "l2", "noise": k, "level": v, "accuracy": s}
        for s in (0, 1)
        for k in ("Gaussian", "uniform")
        for v in (0.0, 1.0)
    ]
    for ax in figures.under_noise(pd.DataFrame(rows)).axes:
        assert ax.lines[0].get_ydata().tolist() == [50.0, 50.0]
