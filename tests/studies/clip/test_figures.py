import itertools

import matplotlib as mpl
import pandas as pd
import pytest

from studies.clip import figures

mpl.use("Agg")


def test_a_panel_for_each_strength_with_the_papers_values():
    rows = [
        {"reading": r, "seed": s, "strength": v, "x": x, "value": x, "paper": 0.3 if x else None}
        for r, s, v, x in itertools.product(("printed", "code"), (0, 1), (0.0, 1e-10), (0.0, 1.0))
    ]
    samples = pd.DataFrame({"x": [1.0, 0.0], "y": [0.1, 0.2], "truth": [0.0, 0.5]})
    axes = figures.curves(pd.DataFrame(rows), samples).axes
    assert [ax.get_title() for ax in axes] == [r"$\lambda = 0$", r"$\lambda = 10^{-10}$"]
    for ax in axes:
        (paper,) = [line for line in ax.lines if line.get_label() == "paper"]
        assert paper.get_ydata().tolist() == [0.3]
        assert len(ax.lines) == 1 + 4 + 1


def test_estimates_are_relative_to_the_exact_constant():
    rows = pd.DataFrame({"strength": [0.0, 0.1], "exact": [2.0, 4.0], "certificate": [3.0, 4.0]})
    (ax,) = figures.estimates(rows).axes
    assert ax.lines[0].get_ydata().tolist() == [1.5, 1.0]


def test_each_model_has_its_row_and_the_paper_its_diamond():
    table = pd.DataFrame(
        {
            "dataset": ["mnist", "mnist"],
            "model": ["Standard", "CLIP 90"],
            "test": [95.0, 91.0],
            "paper_test": [90.0, 92.0],
        }
    )
    (ax,) = figures.classifiers(table, {"test": "clean"}).axes
    ours, paper = ax.collections
    assert ours.get_offsets().tolist() == [[95, 0], [91, -1]]
    assert paper.get_offsets().tolist() == [[90, 0], [92, -1]]


def test_a_network_that_failed_is_a_cross_and_each_kind_has_its_colour():
    table = pd.DataFrame(
        {
            "dataset": "mnist",
            "model": ["CLIP 90", "CLIP 85", "CLIP mean 85"],
            "test": [91.0, 60.0, 86.0],
            "failed": [False, True, False],
        }
    )
    (ax,) = figures.classifiers(table, {"test": "clean"}).axes
    fine, failed = ax.collections
    assert fine.get_offsets().tolist() == [[91, 0], [86, -2]]
    assert failed.get_offsets().tolist() == [[60, -1]]
    first, second = fine.get_facecolors().tolist()
    assert failed.get_facecolors().tolist() == [first] != [second]


def test_steering_shows_each_target():
    history = pd.DataFrame(
        {
            "model": ["CLIP 90"] * 2,
            "epoch": [1, 2],
            "accuracy": [0.8, 0.95],
            "strength": [0.0, 0.1],
            "target": [0.9, 0.9],
        }
    )
    left, right = figures.steering(history).axes
    assert left.lines[1].get_ydata()[0] == pytest.approx(90)
    assert right.lines[0].get_ydata().tolist() == [0.0, 0.1]


def test_a_step_of_the_penalty_is_its_gradient_times_the_rate():
    rows = pd.DataFrame(
        {
            "rule": ["mean", "mean", "worst pair"],
            "epoch": [1, 2, 1],
            "accuracy": 0.9,
            "target": 0.85,
            "learning_rate": [0.1, 0.1, 0.02],
            "penalty_gradient": [1.0, 2.0, 4.0],
            "first_norm": [2.0, 3.0, 4.0],
        }
    )
    accuracy, step, norm = figures.stability(rows).axes
    assert accuracy.lines[-1].get_ydata()[0] == pytest.approx(85)
    assert [list(line.get_ydata()) for line in step.lines] == [[0.1, 0.2], [0.08]]
    assert norm.get_yscale() == "log"
