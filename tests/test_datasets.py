import numpy as np
import pytest
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from lipsnn import datasets, load_dataset
from lipsnn.datasets import DATASETS, raw_table


# rows, inputs, mean of the target, distinct rows: as the `uci_datasets` collection has them
@pytest.mark.parametrize(
    ("name", "rows", "inputs", "mean", "distinct"),
    [
        ("servo", 167, 4, -0.129313, 167),
        ("machine", 209, 7, 4.032733, 209),
        ("solar", 1066, 10, 0.300188, 350),
        ("wine", 1599, 11, 10.422983, 1359),
    ],
)
def test_shapes_and_means_are_the_published_ones(name, rows, inputs, mean, distinct):
    names, table = raw_table(name)
    assert table.shape == (rows, inputs + 1)
    assert len(names) == inputs + 1
    assert table[:, -1].mean() == pytest.approx(mean, abs=1e-6)
    assert len(np.unique(table, axis=0)) == distinct


@pytest.mark.parametrize("name", DATASETS)
def test_split_and_scale_are_those_of_scikit_learn(name):
    _, table = raw_table(name, "paper", *([2, 1000] if name == "rastrigin" else []))
    folds = KFold(datasets.SPLITS, shuffle=True, random_state=2026)
    for split, (train, test) in enumerate(folds.split(table)):
        data = load_dataset(name, split)
        scaler = StandardScaler().fit(table[train])
        expected = scaler.transform(table)
        # to the last bit: results that are recorded depend on it
        np.testing.assert_array_equal(data.X_train, expected[train, :-1])
        np.testing.assert_array_equal(data.y_train, expected[train, -1])
        np.testing.assert_array_equal(data.X_test, expected[test, :-1])
        np.testing.assert_array_equal(data.y_test, expected[test, -1])
        np.testing.assert_array_equal([*data.X_scale, data.y_scale], scaler.scale_)


def test_machine_variants_differ_in_the_two_wang_rows():
    (names, paper), (_, clean) = raw_table("machine"), raw_table("machine", "clean")
    rows = np.flatnonzero((paper != clean).any(axis=1))
    assert list(rows) == [207, 208]
    assert (names[0], names[1], names[6], names[7]) == ("vendor", "MYCT", "CHMAX", "log PRP")
    assert paper[207, 0] == 29480
    assert paper[207, 7] == pytest.approx(np.log(47))  # the target is ERP there
    assert clean[207, [0, 1, 6]].tolist() == [29, 480, 0]
    assert clean[207, 7] == pytest.approx(np.log(67))


def test_wine_variants_differ_in_the_target():
    assert load_dataset("wine").target == "alcohol"
    assert "quality" in load_dataset("wine").features
    clean = load_dataset("wine", variant="clean")
    assert clean.target == "quality"
    assert "alcohol" in clean.features
    assert clean.variant == "clean"


@pytest.mark.parametrize("name", DATASETS)
def test_standardised_on_the_training_part_only(name):
    data = load_dataset(name, split=3)
    np.testing.assert_allclose(data.X_train.mean(axis=0), 0, atol=1e-9)
    spread = data.X_train.std(axis=0)
    constant = np.ptp(data.X_train, axis=0) == 0
    np.testing.assert_allclose(spread[~constant], 1, atol=1e-9)
    assert (data.X_train[:, constant] == 0).all()
    assert np.isfinite(data.X_test).all()
    assert data.y_train.std() == pytest.approx(1)
    raw = data.X_test * data.X_scale + data.X_mean
    assert raw.shape == data.X_test.shape
    if name != "rastrigin":
        rows = {tuple(np.round(row, 6)) for row in raw_table(name)[1][:, :-1]}
        assert all(tuple(np.round(row, 6)) in rows for row in raw)


def test_solar_has_a_constant_column():
    assert (load_dataset("solar").X_train == 0).all(axis=0).sum() == 1


@pytest.mark.parametrize("name", ["servo", "wine"])
def test_the_ten_test_parts_are_a_partition(name):
    _, table = raw_table(name)
    parts = [load_dataset(name, split) for split in range(10)]
    sizes = [len(part.y_test) for part in parts]
    assert sum(sizes) == len(table)
    assert max(sizes) - min(sizes) <= 1
    targets = np.concatenate([part.y_test * part.y_scale + part.y_mean for part in parts])
    np.testing.assert_allclose(np.sort(targets), np.sort(table[:, -1]), atol=1e-9)


def test_rastrigin_is_its_formula_and_seeded():
    names, table = datasets.rastrigin(3, 40, seed=5)
    assert names == ["x1", "x2", "x3", "value"]
    X = table[:, :-1]
    expected = 30 + (X**2 - 10 * np.cos(2 * np.pi * X)).sum(axis=1)
    np.testing.assert_allclose(table[:, -1], expected)
    assert np.array_equal(table, datasets.rastrigin(3, 40, seed=5)[1])
    assert not np.array_equal(table, datasets.rastrigin(3, 40, seed=6)[1])
    _, noisy = datasets.rastrigin(3, 40, noise=2.0, seed=5)
    assert 1.0 < (noisy - table)[:, -1].std() < 3.0
    data = load_dataset("rastrigin", dimension=4, size=200)
    assert (data.X_train.shape, data.X_test.shape) == ((180, 4), (20, 4))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"name": "iris"}, "'servo'"),
        ({"name": "servo", "variant": "dirty"}, "'clean'"),
        ({"name": "servo", "split": 10}, "0 to 9"),
        ({"name": "rastrigin", "dimension": 0}, "dimension"),
        ({"name": "rastrigin", "noise": -1}, "noise"),
        ({"name": "rastrigin", "size": 3}, "size"),
    ],
)
def test_bad_arguments(arguments, word):
    with pytest.raises(ValueError, match=word):
        load_dataset(**arguments)


def test_missing_or_changed_file(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(datasets, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError, match="reinstall"):
        load_dataset("servo")
    (tmp_path / "data" / "servo.data").write_text("E,E,5,4,0.28\n")
    with pytest.raises(OSError, match="changed or is damaged"):
        load_dataset("servo")
