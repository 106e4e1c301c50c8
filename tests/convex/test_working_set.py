"""The rows that are carried: the optimum and the guarantees of all rows, at a fraction of them."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsnn import ShallowNet, refine
from lipsnn.convex import structured
from lipsnn.convex.samples import Patterns, Samples
from lipsnn.convex.structured import loss
from lipsnn.convex.structured.rows import CARRIED, Rows
from lipsnn.network import with_bias

KINDS = ("plain", "repeated rows", "boundary", "equal units", "thin cones", "no interior")


def draw(seed, n, d, m, kind="plain"):
    """Data, and weights that have their patterns; for "no interior" on the boundary only."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    weights, signs = rng.normal(size=(m, d + 1)), rng.choice([-1.0, 1.0], m)
    if kind == "repeated rows":
        X = X[rng.integers(n * 3 // 4, size=n)]
    elif kind == "boundary":
        weights[: m // 2, -1] = -(weights[: m // 2, :-1] @ X[0])
    elif kind == "equal units":
        weights[1::2], signs[1::2] = weights[: m - m // 2 : 1][: m // 2], signs[: m // 2]
    elif kind == "thin cones":
        X[: n // 2] *= 1e-2
    patterns = with_bias(X) @ weights.T >= 0
    if kind == "no interior":  # equal samples on different sides
        X[1], patterns[1] = X[0], ~patterns[0]
        weights[:, -1] = -(weights[:, :-1] @ X[0])
        patterns[2:] = (with_bias(X) @ weights.T >= 0)[2:]
    y = np.sin(2 * X).sum(axis=1) + 0.1 * rng.normal(size=n)
    return with_bias(X), y, patterns, signs, weights


def solvers(X1, y, patterns, signs, weights, strength):
    shares = np.full(len(signs), 0.7 / len(signs))
    kappa = np.linalg.norm(weights, axis=1)
    fixed = kappa, kappa**2 / (2 * shares)
    cells = X1, y, patterns, signs
    return {
        "joint": lambda **more: structured.solve_joint(*cells, strength, **more),
        "(12)": lambda **more: structured.solve_lipschitz(*cells, *fixed, strength, **more),
        "(6)": lambda **more: structured.solve_l2(*cells, strength, **more),
    }


def assert_same(few, all_rows):
    assert few.status == all_rows.status == "optimal"
    assert few.value == pytest.approx(all_rows.value, rel=1e-7)
    assert max(few.gap, few.primal_residual, few.dual_residual) <= 1e-8
    # multipliers of rows that are not carried count as zero: a bound all the same
    assert few.value * (1 - few.gap) <= all_rows.value * (1 + 1e-9)


@pytest.mark.parametrize("program", ["joint", "(12)", "(6)"])
@pytest.mark.parametrize(
    ("d", "kind"),
    [*((d, "plain") for d in (1, 2, 11, 30)), *((3, kind) for kind in KINDS[1:])],
)
def test_the_optimum_is_that_of_all_rows(d, kind, program):
    case = draw(d, 300 + 25 * (d + 1), d, 9, kind)
    solve = solvers(*case, 1.0)[program]
    few = solve(inside=case[-1])
    assert few.cone_duals.nnz < 0.9 * case[2].size
    assert_same(few, solve())


@pytest.mark.parametrize("exponent", range(-3, 4))
def test_the_optimum_is_that_of_all_rows_at_every_strength(exponent):
    case = draw(exponent + 10, 500, 4, 12)
    for solve in solvers(*case, 10.0**exponent).values():
        assert_same(solve(inside=case[-1]), solve())


@st.composite
def cases(draw_from):
    d, m = draw_from(st.integers(1, 4)), draw_from(st.integers(1, 8))
    n = 2 * CARRIED * (d + 1) + draw_from(st.integers(1, 150))
    seed, kind = draw_from(st.integers(0, 10**6)), draw_from(st.sampled_from(KINDS))
    return draw(seed, n, d, m, kind), 10.0 ** draw_from(st.integers(-3, 3))


@given(case=cases(), program=st.sampled_from(["joint", "(12)", "(6)"]))
@settings(max_examples=300)
def test_the_optimum_is_that_of_all_rows_on_whatever_is_drawn(case, program):
    program_data, strength = case
    solve = solvers(*program_data, strength)[program]
    assert_same(solve(inside=program_data[-1]), solve())


def test_a_row_that_the_first_set_misses_enters():
    """The unit is known just above 400 samples that do not bind, and is pulled to another one."""
    rng = np.random.default_rng(0)
    decoys = np.column_stack([rng.uniform(-1, 1, 400), np.zeros(400)])
    others = np.column_stack([rng.uniform(-1, 1, 100), rng.choice([-1, 1], 100)])
    others[:, 1] *= rng.uniform(1, 3, 100)
    X1 = with_bias(np.vstack([decoys, others]))
    weights = np.array([[0.0, 1.0, 1e-3]])
    patterns, signs = X1 @ weights.T >= 0, np.ones(1)
    y = np.maximum(X1[:, 1] + 1.5, 0.0)
    first = Rows(Samples(X1, biased=True), np.packbits(patterns, axis=1), signs, weights)
    assert (first.index < 400).all()
    few = structured.solve_joint(X1, y, patterns, signs, 1e-2, inside=weights)
    assert_same(few, structured.solve_joint(X1, y, patterns, signs, 1e-2))
    multipliers = few.cone_duals.toarray()[0]
    assert multipliers[400:].max() > 1e-3
    assert multipliers[400:].max() > 1e3 * multipliers[:400].max()


def test_few_samples_are_carried_whole():
    X1, y, patterns, signs, weights = draw(0, 2 * CARRIED * 4, 3, 5)
    few = structured.solve_joint(X1, y, patterns, signs, 1.0, inside=weights)
    all_rows = structured.solve_joint(X1, y, patterns, signs, 1.0)
    assert_same(few, all_rows)
    assert few.cone_duals.nnz == patterns[:, patterns.any(axis=0)].size


@pytest.mark.parametrize("strength", [1e-4, 1.0, 1e4])
def test_the_method_starts_at_the_known_network_where_that_is_nearer(strength):
    X1, y, patterns, signs, weights = draw(3, 400, 3, 12)
    origin = structured.solve_joint(X1, y, patterns, signs, strength)
    for scale in (1e-200, 1.0, 1e200):  # of no meaning: each unit is fitted
        known = structured.solve_joint(X1, y, patterns, signs, strength, inside=weights * scale)
        assert known.status == "optimal"
        assert known.value == pytest.approx(origin.value, rel=1e-7)
        assert known.iterations <= origin.iterations


def test_multipliers_are_those_of_the_rows():
    """Stationarity in the biases, which no regulariser of the joint program sees."""
    X1, y, patterns, signs, weights = draw(1, 400, 3, 6, "repeated rows")
    solution = structured.solve_joint(X1, y, patterns, signs, 0.1, inside=weights)
    residual = (((X1 @ solution.weights.T) * patterns).sum(axis=1) - y) @ patterns
    duals = solution.cone_duals.toarray()
    pushed = signs * np.sum(duals.T * np.where(patterns, 1.0, -1.0), axis=0)
    np.testing.assert_allclose(pushed, residual, atol=1e-6 * np.abs(y).sum())


@pytest.mark.parametrize("g", [1, 6, 19])
def test_the_gram_matrix_by_codes_is_that_by_rows(g):
    rng = np.random.default_rng(g)
    samples = Samples(rng.normal(size=(loss._FEW + 1000, 4)))
    patterns = Patterns.of(samples, rng.normal(size=(g, 5)))
    counts = rng.integers(1, 4, samples.n) / samples.n
    A = (samples.array()[:, :, None] * patterns.unpack()[:, None, :]).reshape(samples.n, -1)
    expected = np.triu(A.T @ (counts[:, None] * A))
    found = loss.gram(samples, patterns.bits, g, counts)
    np.testing.assert_allclose(np.triu(found), expected, atol=1e-14 * np.abs(expected).max())


def test_the_gram_matrix_follows_flipped_rows():
    rng = np.random.default_rng(0)
    samples = Samples(rng.normal(size=(500, 3)))
    before = rng.random((500, 7)) < 0.5
    after = before.copy()
    after[rng.integers(500, size=20), rng.integers(7, size=20)] ^= True
    counts = np.full(500, 1 / 500)
    old, new = Patterns.pack(before).bits, Patterns.pack(after).bits
    first = loss.gram(samples, old, 7, counts)
    updated = loss.updated(first, samples, old, new, 7, counts)
    expected = loss.gram(samples, new, 7, counts)
    np.testing.assert_allclose(np.triu(updated), np.triu(expected), atol=1e-14)
    assert loss.updated(first, samples, old, ~new, 7, counts) is None


def test_the_walk_and_the_path_take_the_gram_matrix_along(monkeypatch):
    formed, gram = [], loss.gram
    monkeypatch.setattr(loss, "gram", lambda *args: formed.append(1) or gram(*args))
    X1, y, patterns, signs, weights = draw(2, 400, 3, 6)
    first = structured.solve_joint(X1, y, patterns, signs, 0.1, inside=weights)
    other = structured.solve_joint(X1, y, patterns, signs, 0.2, inside=weights, start=first)
    assert_same(other, structured.solve_joint(X1, y, patterns, signs, 0.2))
    moved = patterns.copy()
    near = np.argmin(np.abs(X1 @ weights.T), axis=0)
    moved[near[:3], np.arange(3)] ^= True
    made = len(formed)
    walked = structured.solve_joint(X1, y, moved, signs, 0.1, inside=weights, start=first)
    assert len(formed) == made == 2
    assert_same(walked, structured.solve_joint(X1, y, moved, signs, 0.1))


def test_a_warm_start_saves_iterations():
    X1, y, patterns, signs, weights = draw(2, 600, 3, 10)
    first = structured.solve_joint(X1, y, patterns, signs, 0.1, inside=weights)
    cold = structured.solve_joint(X1, y, patterns, signs, 0.11, inside=weights)
    warm = structured.solve_joint(X1, y, patterns, signs, 0.11, inside=weights, start=first)
    assert_same(warm, cold)
    assert warm.iterations < cold.iterations


def test_no_array_of_floats_for_each_sample_and_unit():
    n, m = 100_000, 64
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(n, 3)), rng.normal(size=(m, 4))
    y = np.sin(X).sum(axis=1)
    net = ShallowNet(weights, 0.1 * rng.normal(size=m))
    refine(net, X[:300], y[:300], 1.0)  # what is imported at first use
    tracemalloc.start()
    result = refine(net, X, y, 1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.status == "optimal"
    assert peak < 8 * n * m


def test_ctrl_c_between_row_checks_returns_the_best_so_far(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    net = ShallowNet(rng.normal(size=(6, 4)), rng.normal(size=6))
    admit, calls = Rows.admit, []

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return admit(self, *args)

    monkeypatch.setattr(Rows, "admit", interrupted)
    result = refine(net, X, X[:, 0], 1.0, method="alternating", rounds=20)
    assert result.status == "interrupted"
    assert result.objective < result.initial_objective
