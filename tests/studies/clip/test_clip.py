import numpy as np
import pytest
import torch

from studies.clip import images, regression, stability, table1
from studies.common.runner import Outcome


def test_a_unit_is_one_pixel_or_one_standard_deviation():
    mnist, fashion = images.IMAGES["mnist"], images.IMAGES["fashion"]
    assert mnist.unit("normalised") == pytest.approx(1)  # MNIST's networks see normalised inputs
    assert mnist.unit("pixel") == pytest.approx(1 / 0.3081)
    assert (fashion.unit("pixel"), fashion.unit("normalised")) == (1, pytest.approx(0.3530))


def test_the_networks_are_the_sources_and_seeded():
    assert images.network("mnist", 0)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    fashion = images.network("fashion", 3)
    assert fashion(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    widths = [layer.out_features for layer in fashion if isinstance(layer, torch.nn.Linear)]
    assert widths == [1024, 10]
    before = torch.get_rng_state()
    weights = [images.network("digits", 3)[1].weight for _ in range(2)]
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert torch.equal(before, torch.get_rng_state())


def test_digits_are_real_normalised_and_parted():
    X, y, X_test, y_test = images.load("digits")
    assert (len(X), len(X_test)) == (1437, 360)
    assert X.shape[1:] == (1, 8, 8)
    assert abs(float(X.mean())) < 0.02
    assert abs(float(X.std()) - 1) < 0.02
    assert set(y_test.tolist()) == set(y.tolist()) == set(range(10))


def test_a_row_of_the_table(tmp_path):
    tasks = table1.tasks("quick", sets=("digits",))
    assert [task["model"] for task in tasks] == list(table1.MODELS)
    task = tasks[-1] | {
        "epochs": 3,
        "warmup": 1,
        "judge_after": 0,
        "target": 0.01,
        "attacked": 50,
        "checkpoint": str(tmp_path / "row.pt"),
    }
    value = images.run(task)
    step = task["increment"]
    assert value["history"]["strength"] == pytest.approx([step, 2 * step, 3 * step])
    assert images.run(task)["history"] == value["history"]  # all of it from the checkpoint
    table = table1.table([Outcome(task, value, None, None, 1.0, False)])
    assert table["units"].tolist() == ["pixel", "normalised"]
    pixel, normalised = (row for _, row in table.iterrows())
    assert pixel["pgd"] <= normalised["pgd"]  # a pixel is the longer unit
    assert np.isnan(pixel["paper_test"])
    assert pixel["last_accuracy"] == pytest.approx(
        100 * np.mean(value["history"]["accuracy"]), abs=0.01
    )


def test_each_row_has_its_rule_and_its_increment():
    rows = {task["model"]: task for task in table1.tasks("full", sets=("mnist",))}
    (some,) = table1.tasks("full", sets=("mnist",), models=("CLIP mean 85",))
    assert some == rows["CLIP mean 85"]
    assert "pooling" not in rows["CLIP 85"]  # the worst pair, as printed
    assert rows["CLIP mean 85"]["pooling"] == "mean"
    assert rows["CLIP mean 85"]["target"] == rows["CLIP 85"]["target"] == 0.85
    for profile, sets in table1.SETS.items():
        for task in table1.tasks(profile, sets=sets):
            assert (task["increment"] > 0) == (task["target"] is not None), task["model"]


def test_the_worst_class_and_the_first_layers_norm():
    net = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, -2.0]]))
    assert images.first_norm(net) == pytest.approx(3)
    X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 1.0]])
    y = torch.tensor([0, 1, 1, 0])  # the second is taken for the other class
    assert images.worst_class(net, X, y) == pytest.approx(0.5)


def test_the_papers_table_is_whole():
    for rows in table1.PAPER.values():
        assert set(rows) == {model for model in table1.MODELS if "mean" not in model}
        assert all(len(row) == len(table1.PAPER_COLUMNS) for row in rows.values())


@pytest.mark.parametrize("diagonal", [(3.0, 1.0, -5.0), (3.0, 1.0, -2.0), (0.5, 0.2, 0.1)])
def test_the_steepest_curvature_is_the_largest_eigenvalue_not_the_largest_in_size(diagonal):
    turn = torch.linalg.qr(torch.tensor([[1.0, 2.0, 0.5], [0.3, 1.0, 4.0], [2.0, 0.1, 1.0]]))[0]
    matrix = turn @ torch.diag(torch.tensor(diagonal)) @ turn.T
    point = torch.zeros(3, requires_grad=True)
    found = stability.steepest_curvature(0.5 * point @ matrix @ point, [point])
    assert found == pytest.approx(max(diagonal), rel=0.01)


def test_a_run_that_is_probed_after_each_epoch_is_the_run_itself():
    changed = {"data": "digits", "images": 400, "pairs": 10, "redraw": 5, "warmup": 1}
    found = stability.rows("mean", **changed, target=0.01, epochs=3, probed=50, probe_every=1)
    step = stability.RULES["mean"]["increment"]
    assert [row["strength"] for row in found] == pytest.approx([step, 2 * step, 3 * step])
    assert all(row["flat"] == 0 for row in found)  # the first weights are small
    again = stability.rows("mean", **changed, target=0.01, epochs=2, probed=50, probe_every=1)
    assert again == found[:2]


def test_the_samples_are_the_34_and_the_chain_warm_starts():
    x, y = regression.samples(0)
    assert len(x) == 34
    assert np.std(y - regression.truth(x)) < 0.12
    settings = {"widths": (6,), "epochs": 2, "free_epochs": 3, "pairs": 5}
    points, summaries = regression.figure_rows("code", 0, **settings)
    assert [row["strength"] for row in summaries] == list(regression.STRENGTHS)
    assert [row["epochs"] for row in summaries] == [3, 2, 2, 2]
    read = [row for row in points if not np.isnan(row["paper"])]
    assert len(read) == sum(map(len, regression.PAPER_CURVES.values()))


def test_estimates_lie_below_and_certificates_above_the_exact_constant():
    X, y = regression.estimate_data(0, 40)
    for row in regression.estimate_rows(X, y, 0, (0.0, 0.1), width=6, epochs=5, pairs=10):
        assert row["estimate"] <= row["pursued"] <= row["exact"] * (1 + 1e-9)
        assert row["exact"] <= row["certificate"] * (1 + 1e-9)
