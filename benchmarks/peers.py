"""The programs that `benchmarks/refine.py` gives to every solver, and how the peers solve them."""

from __future__ import annotations

import argparse
import inspect
import statistics
import time
from functools import partial
from typing import Any

import numpy as np

from lipsnn import certify, load_dataset, train_sgd
from lipsnn.convex import programs, structured
from lipsnn.network import with_bias

STRENGTH, INPUTS = 0.1, 11
# What pyscnn's augmented Lagrangian is asked for, of its subproblems and of its constraints: its
# default first.
PYSCNN = {"pyscnn": 1e-6, "pyscnn-1e-7": 1e-7, "pyscnn-1e-8": 1e-8}


def restriction(program: str, data: str, width: int) -> tuple[tuple[Any, ...], np.ndarray]:
    """The arguments of a program at a briefly trained network, the same in every process.

    With the network's weights, by which our solver finds the rows that it carries.
    """
    split = load_dataset(data)
    X, y = split.X_train, split.y_train
    net = train_sgd(X, y, width, 0.1, epochs=1 + 20_000 // len(y))
    arguments = (with_bias(X), y, net.patterns(X), net.signs)
    if program == "(12)":
        arguments = (*arguments, np.abs(net.outer), certify(net).multipliers)
    return (*arguments, STRENGTH), net.weights


def drawn(kind: str, width: int, samples: int) -> tuple[tuple[Any, ...], np.ndarray]:
    """The joint program on Gaussian data, with random patterns or those of a trained network."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(samples, INPUTS))
    weights, signs = rng.normal(size=(INPUTS + 1, width)).T, rng.choice([-1.0, 1.0], width)
    y = np.sin(X).sum(axis=1) + 0.1 * rng.normal(size=samples)
    if kind == "trained":
        net = train_sgd(X, y, width, 0.1, epochs=1 + 200_000 // samples)
        weights, signs = net.weights, net.signs
    X1 = with_bias(X)
    patterns = np.empty((samples, width), dtype=bool)
    for start in range(0, samples, 10_000):  # no more memory than the input has
        patterns[start : start + 10_000] = X1[start : start + 10_000] @ weights.T >= 0
    return (X1, y, patterns, signs, 1.0), weights


def both_signs(X1: np.ndarray, y: np.ndarray, gates: np.ndarray) -> tuple[Any, ...]:
    """Program (6) as pyscnn has it: every pattern once with each sign."""
    patterns, count = X1 @ gates > 0, gates.shape[1]
    return X1, y, np.hstack([patterns] * 2), np.repeat([1.0, -1.0], count), STRENGTH


def exact(program: str, arguments: tuple[Any, ...], solution: Any) -> dict[str, float]:
    """Value at the weights themselves, and how far they leave their cones."""
    X1, y, patterns, signs = arguments[:4]
    weights, outer = solution.weights, np.ones(len(signs))
    if program == "(6)":
        outer, penalty = signs, np.linalg.norm(weights, axis=1).sum()
    else:
        penalty = solution.rho
    if program == "(12)":
        outer = signs * arguments[4]
    loss = 0.5 * np.sum((((X1 @ weights.T) * patterns) @ outer - y) ** 2)
    side = np.where(patterns, 1.0, -1.0) * (signs if program == "joint" else 1.0)
    hidden = X1 @ weights.T
    violation = max(0.0, -float((side * hidden).min())) / float(np.abs(hidden).max())
    return {"value": float(loss + STRENGTH * penalty), "violation": violation}


def by_arrow(program: str, solver: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """The LMI as ``sum_i H_i <= rho I``, ``[[H_i, zbar_i], [zbar_i', 4 q_i]] >= 0``."""
    import cvxpy as cp

    X1, y, patterns, signs = arguments[:4]
    (m, p), d = (len(signs), X1.shape[1]), X1.shape[1] - 1
    z, rho = cp.Variable((m, p)), cp.Variable()
    if program == "joint":
        q = cp.Variable(m, nonneg=True)
    else:
        q = cp.Constant(arguments[4] ** 2 / (2 * arguments[5]))
    slopes = cp.vstack([cp.sum(z[:, :d], axis=0, keepdims=True), z[:, :d]])
    shares = cp.hstack([1 - cp.sum(q), q])
    hub: Any = 0
    cones = [cp.multiply((2.0 * patterns - 1.0) * signs, X1 @ z.T) >= 0]
    for i in range(m + 1):
        block = cp.Variable((p, p), PSD=True)
        cones += [block[:d, d] == slopes[i], block[d, d] == 4 * shares[i]]
        hub = hub + block[:d, :d]
    fitted = cp.sum(cp.multiply(patterns.astype(float), X1 @ z.T), axis=1)
    objective = 0.5 * cp.sum_squares(fitted - y) + STRENGTH * rho
    problem = cp.Problem(cp.Minimize(objective), [*cones, rho * np.eye(d) - hub >> 0])
    problem.solve(solver, **({"eps": 1e-6, "max_iters": 100_000} if solver == "SCS" else {}))
    weights = z.value if program == "joint" else z.value / (signs * arguments[4])[:, None]
    solution = argparse.Namespace(weights=weights, rho=float(rho.value))
    return {
        **exact(program, arguments, solution),
        "solver_seconds": problem.solver_stats.solve_time,
        "iterations": problem.solver_stats.num_iters,
        "status": problem.status,
    }


def by_printed(program: str, solver: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """The program in CVXPY as the paper, or fact C, prints it."""
    call = {"joint": programs.solve_joint, "(12)": programs.solve_lipschitz}
    solution = call.get(program, programs.solve_l2)(*arguments, solver=solver)
    row = {"status": solution.status, "iterations": solution.iterations}
    return row if solution.weights is None else row | exact(program, arguments, solution)


def by_structured(
    program: str, arguments: tuple[Any, ...], inside: np.ndarray, times: int = 6
) -> tuple[Any, dict[str, float]]:
    """The structured solver's solution, and its seconds: the median of all runs after a first."""
    call = {"joint": structured.solve_joint, "(12)": structured.solve_lipschitz}
    solve = call.get(program, structured.solve_l2)
    # the commit that is compared with knows of no inside
    if {"inside", "settings"} & inspect.signature(solve).parameters.keys():
        solve = partial(solve, inside=inside)
    runs = [(time.process_time(), solve(*arguments), time.process_time()) for _ in range(times)]
    later = runs[1:] or runs
    return runs[-1][1], {
        "seconds": statistics.median(run.seconds for _, run, _ in later),
        "fastest": min(run.seconds for _, run, _ in runs),
        "cpu_seconds": statistics.median(after - before for before, _, after in later),
    }


def by_adelie(arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Program (6) without its cones: a group lasso. Its value is below that of (6)."""
    import adelie

    X1, y, patterns, signs = arguments[:4]
    (n, p), m = X1.shape, len(signs)
    masked = adelie.matrix.convex_relu(
        np.asfortranarray(X1), np.asfortranarray(patterns), gated=True
    )
    start, start_cpu = time.perf_counter(), time.process_time()
    state = adelie.grpnet(
        masked, adelie.glm.gaussian(y), groups=np.arange(0, p * m, p), penalty=np.ones(m),
        lmda_path=[STRENGTH / n], intercept=False, tol=1e-14, progress_bar=False,
    )  # fmt: skip
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    weights = signs[:, None] * np.asarray(state.betas.todense())[-1].reshape(m, p)
    return {
        **exact("(6)", arguments, argparse.Namespace(weights=weights)),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "status": "done, without cones",
    }


def by_pyscnn(data: str, width: int, tol: float) -> dict[str, Any]:
    """pyscnn, and the structured solver on the very program that pyscnn solved."""
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    (X1, y, *_), _ = restriction("(6)", data, width)
    model = ConvexReLU(np.random.default_rng(0).normal(size=(X1.shape[1], width // 2)))
    start, start_cpu = time.perf_counter(), time.process_time()
    model, _ = optimize_model(
        model, AL(model, tol=tol, constraint_tol=tol), Metrics(), X1, y,
        regularizer=NeuronGL1(STRENGTH / len(y)), return_convex=True, unitize_data=False,
        dtype="float64",
    )  # fmt: skip
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    arguments = both_signs(X1, y, model.G)
    weights = np.vstack([part[0] for part in model.get_parameters()])
    inside = np.tile(model.G.T, (2, 1))
    ours, ours_seconds = by_structured("(6)", arguments, inside)
    found = exact("(6)", arguments, argparse.Namespace(weights=weights))
    reference = exact("(6)", arguments, ours)["value"]
    return {
        **found,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "structured_seconds": ours_seconds["seconds"],
        "excess": found["value"] / reference - 1,
        "status": "done",
    }
