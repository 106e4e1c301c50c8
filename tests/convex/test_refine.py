from dataclasses import replace

import numpy as np
import pytest
from drawing import draw_network

from lipsnn import ShallowNet, certify, objective, refine
from lipsnn.convex import programs
from lipsnn.convex.result import ProgramSolution

STRENGTH = 1.0


@pytest.fixture(scope="module")
def data(servo):
    return servo.X_train, servo.y_train


@pytest.fixture(scope="module")
def alternating(trained, data):
    return refine(trained, *data, STRENGTH, method="alternating")


@pytest.fixture(scope="module")
def joint(trained, data):
    return refine(trained, *data, STRENGTH)


def test_alternation_is_monotone(alternating):
    """Corollary 11."""
    values = [step.objective for step in alternating.history if step.accepted]
    assert len(values) > 3
    assert (np.diff(values) < 0).all()
    assert alternating.status == "converged"
    assert alternating.history[0].step == "initial"
    assert {step.step for step in alternating.history[1:]} == {"(12)"}


def test_joint_is_never_above_the_alternation(alternating, joint):
    assert joint.initial_objective == pytest.approx(alternating.initial_objective, rel=1e-9)
    assert joint.objective <= alternating.objective * (1 + 1e-6)
    assert joint.status == "optimal"
    assert len(joint.history) == 2


@pytest.mark.parametrize("method", ["alternating", "joint"])
def test_objectives_are_those_of_the_networks(method, trained, data, alternating, joint):
    result = {"alternating": alternating, "joint": joint}[method]
    assert result.initial_objective == pytest.approx(
        objective(trained, *data, STRENGTH, "lipschitz"), rel=1e-9
    )
    assert result.objective == pytest.approx(
        objective(result.net, *data, STRENGTH, "lipschitz"), rel=1e-9
    )
    assert result.certificate.bound == pytest.approx(certify(result.net).bound, rel=1e-9)
    assert result.history[-1].seconds <= result.seconds
    assert result.cone_violation < 1e-6
    assert 0 < result.reduction < 1
    assert result.method == method


def test_results_print_what_matters_and_no_arrays(joint):
    text = str(joint)
    assert text.splitlines()[0].startswith("joint refinement by structured: optimal")
    assert f"objective {joint.initial_objective:.6g} -> {joint.objective:.6g}" in text
    assert f"-> {joint.certificate.bound:.6g}" in text
    assert f"L <= {joint.certificate.bound:.6g}" in repr(joint.certificate)
    assert repr(joint.net).startswith(f"ShallowNet({joint.net.width} units")
    assert "array" not in text + repr(joint.certificate) + repr(joint.net)


def test_only_methods_that_solve_a_joint_program_gain_over_it(alternating, joint):
    assert alternating.gain_over_joint is None
    assert joint.gain_over_joint == 0.0


def test_l2(trained, data):
    result = refine(trained, *data, 0.1, regularizer="l2")
    assert result.status == "optimal"
    assert result.objective < result.initial_objective
    assert result.objective == pytest.approx(objective(result.net, *data, 0.1, "l2"), rel=1e-9)
    assert result.certificate is None


def test_refining_again_by_the_joint_program_changes_nothing_much(joint, data):
    again = refine(joint.net, *data, STRENGTH, method="joint")
    assert again.objective <= joint.objective
    # a unit that the solver left on its cell's boundary may now lie in the neighbouring cell,
    # so that the second optimum can be lower, but not higher
    assert again.initial_objective == pytest.approx(joint.objective, rel=1e-9)


def test_the_offset_is_kept_and_counted(trained, data):
    X, y = data
    shifted = ShallowNet(trained.weights, trained.outer, offset=0.5)
    result = refine(shifted, X, y + 0.5, STRENGTH, method="joint", output_bias=False)
    plain = refine(trained, X, y, STRENGTH, method="joint", output_bias=False)
    assert result.net.offset == 0.5
    assert result.objective == pytest.approx(plain.objective, rel=1e-6)


def test_takes_a_torch_network(trained, data, joint):
    result = refine(trained.to_torch(), *data, STRENGTH, method="joint")
    assert result.objective == pytest.approx(joint.objective, rel=1e-9)


def test_any_installed_solver(trained, data, joint):
    result = refine(trained, *data, STRENGTH, method="joint", solver="scs")
    assert result.solver == "SCS"
    assert result.objective == pytest.approx(joint.objective, rel=1e-3)


def broken(status, weights=None):
    def solve(*args, **kwargs):
        return ProgramSolution(float("nan"), status, "CLARABEL", 3, 0.0, weights)

    return solve


def test_a_failing_solver_gives_the_initial_network_back(trained, data, monkeypatch):
    monkeypatch.setattr(programs, "solve_joint", broken("solver_error: numerical"))
    result = refine(trained, *data, STRENGTH, method="joint", solver="CLARABEL")
    assert result.net is trained
    assert result.objective == result.initial_objective
    assert result.status == "not improved (solver_error: numerical)"


def test_a_worse_point_is_refused_whatever_the_solver_calls_it(trained, data, monkeypatch):
    worse = np.zeros_like(trained.weights)
    monkeypatch.setattr(programs, "solve_joint", broken("optimal", worse))
    result = refine(trained, *data, STRENGTH, method="joint", solver="CLARABEL")
    assert result.net is trained
    assert result.status == "not improved (optimal)"
    assert not result.history[-1].accepted


def test_an_inaccurate_status_is_reported_as_it_is(trained, data, monkeypatch):
    solve = programs.solve_joint

    def inaccurate(*args, **kwargs):
        solution = solve(*args, **kwargs)
        return replace(solution, status="optimal_inaccurate")

    monkeypatch.setattr(programs, "solve_joint", inaccurate)
    result = refine(trained, *data, STRENGTH, method="joint", solver="CLARABEL")
    assert result.status == "optimal_inaccurate"
    assert result.objective < result.initial_objective


def test_ctrl_c_returns_the_best_so_far(trained, data, monkeypatch):
    solve, calls = programs.solve_lipschitz, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return solve(*args, **kwargs)

    monkeypatch.setattr(programs, "solve_lipschitz", interrupted)
    result = refine(trained, *data, STRENGTH, method="alternating", solver="CLARABEL")
    assert result.status == "interrupted"
    assert result.objective < result.initial_objective
    assert result.objective == objective(result.net, *data, STRENGTH, "lipschitz")


def test_round_limit_is_said(trained, data):
    result = refine(trained, *data, STRENGTH, method="alternating", rounds=2, tol=0.0)
    assert result.status == "round_limit"
    assert len(result.history) == 3


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"strength": 0.0}, "strength must be positive"),
        ({"strength": -2}, "strength must be positive"),
        ({"strength": np.nan}, "strength must be finite"),
        ({"regularizer": "l1"}, "regularizer must be one of"),
        ({"method": "magic"}, "method must be one of"),
        ({"solver": "gurobi9000"}, "not installed"),
        ({"rounds": 0}, "rounds"),
        ({"tol": -1}, "tol"),
        ({"X": np.full((8, 2), np.inf)}, "infinite"),
        ({"X": np.ones((8, 3))}, "bias feature"),
        ({"X": np.ones((0, 2)), "y": np.ones(0)}, "no rows"),
        ({"y": np.ones(7)}, "8 rows"),
    ],
)
def test_bad_arguments(change, word):
    arguments = {"net": draw_network(0, 4, 2), "X": np.eye(8)[:, :2], "y": np.ones(8)}
    with pytest.raises(ValueError, match=word):
        refine(**{**arguments, "strength": 1.0, **change})


def test_a_dead_network_has_nothing_to_refine():
    X = np.abs(np.random.default_rng(0).normal(size=(8, 2)))
    dead = ShallowNet([[-1.0, -1.0, 0.0]], [1.0])
    with pytest.raises(ValueError, match="dead"):
        refine(dead, X, np.ones(8), 1.0)
    with pytest.raises(ValueError, match="dead"):
        refine(ShallowNet([[1.0, 1.0, 0.0]], [0.0]), X, np.ones(8), 1.0)


def test_a_missing_licence_is_one_clear_error(monkeypatch):
    pytest.importorskip("mosek")
    from lipsnn import solvers

    monkeypatch.setattr(solvers, "mosek_licence", lambda: "no licence file")
    with pytest.raises(RuntimeError, match="leave solver=None to use Clarabel"):
        refine(draw_network(0, 4, 2), np.eye(8)[:, :2], np.ones(8), 1.0, solver="MOSEK")
