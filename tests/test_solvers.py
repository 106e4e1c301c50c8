import logging

import cvxpy as cp
import pytest

from lipsnn import solvers


@pytest.fixture
def fresh():
    """The choice is remembered for the process: forget it before and after."""
    solvers.default_solver.cache_clear()
    yield
    solvers.default_solver.cache_clear()


def test_without_a_licence_one_line_says_that_clarabel_runs(fresh, monkeypatch, caplog):
    monkeypatch.setattr(solvers, "mosek_licence", lambda: "no licence file")
    with caplog.at_level(logging.WARNING, logger="lipsnn"):
        assert solvers.choose_solver() == "CLARABEL"
        assert solvers.choose_solver() == "CLARABEL"
    assert [r.message for r in caplog.records] == [
        "lipsnn: solving with CLARABEL (MOSEK is not usable: no licence file)"
    ]


def test_with_a_licence_mosek_runs(fresh, monkeypatch, caplog):
    monkeypatch.setattr(solvers, "mosek_licence", lambda: None)
    assert solvers.choose_solver() == "MOSEK"
    assert [r.message for r in caplog.records] == ["lipsnn: solving with MOSEK"]


def test_a_missing_licence_is_one_line(monkeypatch, tmp_path):
    pytest.importorskip("mosek")
    monkeypatch.setenv("MOSEKLM_LICENSE_FILE", str(tmp_path / "none.lic"))
    reason = solvers.mosek_licence.__wrapped__()
    assert reason
    assert "\n" not in reason


def test_an_expired_licence_is_one_line(monkeypatch):
    mosek = pytest.importorskip("mosek")

    def expired(self, feature):
        raise mosek.Error(mosek.rescode.err_license_expired, "")

    monkeypatch.setattr(mosek.Env, "checkoutlicense", expired)
    assert "expired" in solvers.mosek_licence.__wrapped__()


def test_mosek_by_name_without_a_licence_says_what_to_do(monkeypatch):
    pytest.importorskip("mosek")
    monkeypatch.setattr(solvers, "mosek_licence", lambda: "no licence file")
    with pytest.raises(RuntimeError, match="MOSEKLM_LICENSE_FILE"):
        solvers.choose_solver("mosek")


def test_unknown_solver_lists_the_installed():
    with pytest.raises(ValueError, match="CLARABEL"):
        solvers.choose_solver("gurobi9000")


def test_infeasible_is_reported_as_such():

    x = cp.Variable()
    solution = solvers.solve(cp.Problem(cp.Minimize(x), [x >= 1, x <= 0]), "CLARABEL")
    assert solution.status == "infeasible"
    assert not solution.has_point


class PanicException(BaseException):
    """Named as that of Clarabel, which Rust raises and nobody can import."""


@pytest.mark.parametrize("kind", [cp.error.SolverError, ZeroDivisionError, PanicException])
def test_a_failing_solver_is_a_status(kind):
    class Broken:
        value, status, solver_stats = None, None, None

        def solve(self, **_):
            raise kind("numerical trouble\nin two lines")

    solution = solvers.solve(Broken(), "CLARABEL")
    assert solution.status == "solver_error: numerical trouble in two lines"
    assert not solution.has_point
