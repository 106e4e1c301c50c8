"""What lies below the certificate: gradients found, the exact constant, rounding of P."""

import numpy as np
import pytest
from degenerate import KINDS, draw
from drawing import draw_network

from lipsnn import ShallowNet, certify
from lipsnn.certificate import enumerated_constant
from lipsnn.certificate.cells import cell_patterns
from lipsnn.certificate.form import Form
from lipsnn.certificate.ladder import rounded_constant

UP = 1 + 1e-11  # each rung is rounded on its own


def all_patterns(m: int) -> np.ndarray:
    return np.array(list(np.ndindex(*[2] * m)), dtype=float)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rungs_are_in_order(kind):
    rng = np.random.default_rng(1)
    for _ in range(12):
        net = draw(rng, kind, rng.integers(1, 12), rng.integers(1, 4))
        rungs = certify(net).ladder()
        # opposite units cancel to a rounding of the size of the bound
        rounding = 1e-13 * rungs.certificate
        assert rungs.sampled <= rungs.exact * UP + rounding
        assert rungs.exact <= rungs.rounded * UP
        assert rungs.rounded <= rungs.certificate * UP
        assert rungs.certificate <= rungs.product * UP


@pytest.mark.parametrize(("width", "dim"), [(1, 1), (3, 2), (30, 5), (200, 11), (40, 60)])
def test_rounding_keeps_its_guarantee(width, dim):
    for seed in range(5):
        certificate = certify(draw_network(seed, width, dim))
        rungs = certificate.ladder()
        assert rungs.rounded >= np.sqrt(2 / np.pi) * certificate.lower
        assert rungs.rounded <= certificate.bound
    # from the rounding alone, without the directions that the other rungs give
    alone = rounded_constant(Form.of(certificate.net), certificate.factor, np.empty((0, dim)))
    assert alone >= np.sqrt(2 / np.pi) * certificate.lower


def test_rounding_reaches_the_formal_constant():
    for seed in range(10):
        net = draw_network(seed, 9, 4)
        formal = np.linalg.norm(all_patterns(9) @ net.slopes, axis=1).max()
        rounded = certify(net).ladder().rounded
        assert rounded <= formal * UP
        assert rounded >= 0.99 * formal


@pytest.mark.parametrize(("width", "dim"), [(6, 1), (6, 2), (6, 3), (20, 1), (20, 2), (12, 3)])
def test_cells_in_general_position(width, dim):
    from math import comb

    patterns = cell_patterns(draw_network(2, width, dim))
    assert len(patterns) == len(np.unique(patterns, axis=0))
    # Buck's formula
    assert len(patterns) == sum(comb(width, k) for k in range(dim + 1))


def test_cells_of_degenerate_arrangements():
    # the same line three times (once from the other side), a parallel one, one across, a dead unit
    rows = [[1, 0, 0], [2, 0, 0], [-1, 0, 0], [1, 0, -1], [0, 1, 0], [0, 0, 5]]
    patterns = cell_patterns(ShallowNet(rows, np.ones(6)))
    assert len(patterns) == 6
    assert (patterns[:, 0] == patterns[:, 1]).all()
    assert (patterns[:, 0] != patterns[:, 2]).all()
    assert patterns[:, 5].all()
    # three lines through one point: six cells, not the seven of general position
    assert len(cell_patterns(ShallowNet([[1, 0, 0], [0, 1, 0], [1, 1, 0]], np.ones(3)))) == 6


def test_every_cell_that_sampling_meets_is_enumerated():
    net = draw_network(5, 10, 3)
    X = 3 * np.random.default_rng(0).normal(size=(20_000, 3))
    met = {tuple(row) for row in net.patterns(X)}
    assert met <= {tuple(row) for row in cell_patterns(net)}


def test_exact_constant_of_the_absolute_value():
    net = ShallowNet([[1.0, 0.0], [-1.0, 0.0]], [1.0, 1.0])
    assert enumerated_constant(net) == 1.0
    # both units never act together: the formal constant is also 1 here, their product is 2
    rungs = certify(net).ladder()
    assert (rungs.sampled, rungs.rounded) == (1.0, 1.0)
    assert rungs.product == pytest.approx(2.0)


def test_a_gradient_is_never_taken_on_a_kink():
    # x = 0 lies on both hyperplanes; with both units active the slope would be 2
    net = ShallowNet([[1.0, 0.0], [-1.0, 0.0]], [1.0, -1.0])
    assert certify(net).ladder(np.zeros((3, 1))).sampled == 1.0


def test_local_search_gains_on_sampling():
    found, best = [], []
    for seed in range(10):
        net = draw_network(seed, 15, 2)
        found.append(certify(net).ladder(seed=1).sampled)
        best.append(enumerated_constant(net))
    assert np.mean(np.array(found) / best) > 0.97


def test_data_are_looked_at():
    net = draw_network(0, 40, 6)
    X = np.random.default_rng(3).normal(size=(50, 6))
    attained = np.linalg.norm(net.gradient(X), axis=1).max()
    assert certify(net).ladder(X).sampled >= attained * (1 - 1e-12)


def test_summary_prints_the_ladder(capsys):
    certify(draw_network(0, 6, 2)).summary()
    lines = capsys.readouterr().out.splitlines()
    values = [float(line[33:]) for line in lines]
    assert len(values) == 5
    assert values == sorted(values)
    certify(draw_network(0, 30, 8)).summary()
    assert "too large to enumerate" in capsys.readouterr().out


def test_limits_of_enumeration():
    with pytest.raises(ValueError, match="at most 20 units and 3 inputs"):
        enumerated_constant(draw_network(0, 21, 2))
    with pytest.raises(ValueError, match="at most 20 units and 3 inputs"):
        enumerated_constant(draw_network(0, 5, 4))
