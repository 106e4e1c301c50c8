"""The benchmark's rows on a small network: what it compares must be comparable."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/multilayer.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("multilayer_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_methods_agree_on_what_they_bound(benchmark):
    exact, plain, product = (
        benchmark.measure(method, 2, 5) for method in ("lipsdp-neuron", "plain-lmi", "product")
    )
    assert exact["status"] == "optimal"
    assert exact["bound"] == pytest.approx(plain["bound"], rel=1e-6)
    assert exact["bound"] < product["bound"]


def test_eclipse_is_never_below_the_exact_value(benchmark):
    pytest.importorskip("eclipse_nn")
    exact = benchmark.measure("lipsdp-neuron", 3, 5)["bound"]
    assert benchmark.measure("eclipse-fast", 3, 5)["bound"] >= exact * (1 - 1e-6)


def test_a_method_that_stopped_is_left_out_of_larger_networks(benchmark):
    row = benchmark.row("eclipse", 5, 50, 1.0, [("eclipse", 2, 50)])
    assert row["status"] == "skipped: stopped at depth 2, width 50"
    late = benchmark.row("lipsdp-neuron", 2, 20, 1e-3, stopped := [])
    assert late["status"] == "stopped after 0.001 CPU seconds"
    assert stopped == [("lipsdp-neuron", 2, 20)]
