"""Data that are read chunk by chunk: a memory-mapped file, a Dask array, a cluster."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from lipsnn import ShallowNet, objective, refine
from lipsnn.convex import refine_path, samples


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 3))
    net = ShallowNet(rng.normal(size=(8, 4)), 0.3 * rng.normal(size=8))
    return net, X, np.sin(X).sum(axis=1)


@pytest.fixture
def mapped(case, tmp_path):
    file = np.memmap(tmp_path / "X", dtype=np.float64, mode="w+", shape=case[1].shape)
    file[:] = case[1]
    file.flush()
    return np.memmap(tmp_path / "X", dtype=np.float64, mode="r", shape=case[1].shape)


@pytest.mark.parametrize(
    ("method", "regularizer"),
    [("joint", "lipschitz"), ("alternating", "lipschitz"), ("walk", "lipschitz"), ("joint", "l2")],
)
def test_a_memory_mapped_file_gives_what_the_array_gives(case, mapped, method, regularizer):
    net, X, y = case
    streamed = refine(net, mapped, y, 1.0, regularizer, method, rounds=2)
    array = refine(net, X, y, 1.0, regularizer, method, rounds=2)
    assert streamed.status == array.status
    assert streamed.objective == pytest.approx(array.objective, rel=1e-7)
    assert streamed.objective == pytest.approx(objective(streamed.net, mapped, y, 1.0, regularizer))


def test_a_path_over_a_file(case, mapped):
    net, _, y = case
    table = refine_path(net, mapped, y, [0.1, 1.0], progress=False).table
    assert table["loss"].is_monotonic_increasing


def test_a_dask_cluster_sums_its_own_chunks(case, monkeypatch):
    dask_array = pytest.importorskip("dask.array")
    distributed = pytest.importorskip("distributed")
    net, X, y = case
    monkeypatch.setattr(samples, "_BLOCK", 1000)
    monkeypatch.setattr(samples, "_WINDOW", 4)
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        remote = dask_array.from_array(X, chunks=(700, 2))
        with distributed.get_task_stream(client) as stream:
            result = refine(net, remote, dask_array.from_array(y), 1.0)
    sums = [task for task in stream.data if "_sum" in task["key"] or "_add" in task["key"]]
    assert len({task["worker"] for task in sums}) == 2
    expected = refine(net, X, y, 1.0)
    assert result.status == "optimal"
    assert result.objective == pytest.approx(expected.objective, rel=1e-7)


def test_a_file_larger_than_the_memory_that_is_allowed(tmp_path):
    """What the process may allocate beside its imports is limited to less than the file."""
    script = """
        import resource, sys
        import numpy as np
        from pathlib import Path
        from lipsnn import ShallowNet, refine
        rng = np.random.default_rng(0)
        net = ShallowNet(rng.normal(size=(3, 41)), rng.normal(size=3))
        few = rng.normal(size=(300, 40))
        refine(net, few, few[:, 0], 1.0)  # what is imported at first use
        status = Path("/proc/self/status").read_text()
        used = 1024 * int(status.split("VmData:")[1].split()[0])
        n = 200 * 2**20 // (40 * 8)
        X = np.memmap(sys.argv[1], dtype=np.float64, mode="w+", shape=(n, 40))
        for start in range(0, n, 50_000):
            X[start : start + 50_000] = rng.normal(size=X[start : start + 50_000].shape)
        y = np.array(X[:, 0])
        del X
        limit = used + 150 * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        X = np.memmap(sys.argv[1], dtype=np.float64, mode="r", shape=(n, 40))
        try:
            np.array(X)
        except MemoryError:
            print("too large", end=" ")
        print(refine(net, X, y, 1.0).status)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "X")]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.stdout.split() == ["too", "large", "optimal"], answer.stderr


def test_what_cannot_be_streamed_is_refused_with_a_way_out(case, mapped):
    net, _, y = case
    for settings in ({"solver": "reference"}, {"method": "polish"}):
        with pytest.raises(ValueError, match=r"numpy.asarray\(X\)"):
            refine(net, mapped, y, 1.0, **settings)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda X, y: (X[:, :2], y), "3 columns"),
        (lambda X, y: (X[0], y), "2 dimensions"),
        (lambda X, y: (X, y[:-1]), "6000 rows but y has 5999"),
    ],
)
def test_bad_shapes(case, mapped, change, word):
    with pytest.raises(ValueError, match=word):
        refine(case[0], *change(mapped, case[2]), 1.0)


def test_a_missing_value_is_named_by_its_place(case, tmp_path):
    net, X, y = case
    file = np.memmap(tmp_path / "bad", dtype=np.float64, mode="w+", shape=X.shape)
    file[:] = X
    file[5000, 1] = np.nan
    with pytest.raises(ValueError, match=r"first at index \(5000, 1\)"):
        refine(net, file, y, 1.0)


def test_an_unknown_length_is_refused(case):
    dask_array = pytest.importorskip("dask.array")
    net, X, y = case
    remote = dask_array.from_array(X)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        refine(net, remote[remote[:, 0] > 0], y, 1.0)


def test_masked_chunks_and_dataframes_are_refused(case):
    dask_array = pytest.importorskip("dask.array")
    net, X, y = case
    masked = dask_array.ma.masked_greater(dask_array.from_array(X), 2.0)
    with pytest.raises(ValueError, match="masked entries"):
        refine(net, masked, y, 1.0)
    frame = pytest.importorskip("dask.dataframe").from_dask_array(dask_array.from_array(X))
    with pytest.raises(ValueError, match="to_dask_array"):
        refine(net, frame, y, 1.0)


def test_long_work_logs_where_it_is(case, monkeypatch, caplog):
    from lipsnn.convex import progress

    monkeypatch.setattr(progress, "SECONDS", 0.0)
    with caplog.at_level("INFO", logger="lipsnn"):
        refine(case[0], case[1], case[2], 1.0)
    assert any("samples read" in line for line in caplog.messages)
    assert any("iterations, gap" in line for line in caplog.messages)
