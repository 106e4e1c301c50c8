"""Small dense algebra on one BLAS thread, whatever the caller's setting, which comes back."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from drawing import draw_network
from threadpoolctl import ThreadpoolController

from lipsnn import certify
from lipsnn.certificate import solve as solves
from lipsnn.certificate.threads import one_blas_thread


def blas_threads() -> list[int]:
    import scipy.linalg  # noqa: F401  its pool too

    info = ThreadpoolController().info()
    return [pool["num_threads"] for pool in info if pool["user_api"] == "blas"]


def test_a_decorated_function_has_one_thread():
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        before = blas_threads()
        assert len(before) >= 2
        assert one_blas_thread(blas_threads)() == [1] * len(before)
        assert blas_threads() == before


def test_certify_runs_on_one_thread_and_restores(monkeypatch):
    seen = []
    plain = solves.interior_point

    def watched(*arguments):
        seen.extend(blas_threads())
        return plain(*arguments)

    monkeypatch.setattr(solves, "interior_point", watched)
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        before = blas_threads()
        certify(draw_network(0, 20, 4))
        assert set(seen) == {1}
        assert blas_threads() == before
        assert 2 in before


def test_settings_come_back_whatever_runs_side_by_side():
    flint = pytest.importorskip("flint")
    certificate = certify(draw_network(0, 8, 3))
    before, alone = flint.ctx.prec, certificate.verify()
    flint.ctx.prec = 77
    try:
        with (
            ThreadpoolController().limit(limits=2, user_api="blas"),
            ThreadPoolExecutor(6) as pool,
        ):
            limits = blas_threads()
            jobs = [pool.submit(certify, draw_network(k, 8, 3)) for k in range(30)]
            jobs += [pool.submit(certificate.verify) for _ in range(30)]
            # a proof does not touch the precision, nor does it depend on it
            seen = {flint.ctx.prec for _ in range(1000)}
            results = [job.result() for job in jobs]
            assert blas_threads() == limits
        assert seen == {flint.ctx.prec} == {77}
        assert set(results[30:]) == {alone}
    finally:
        flint.ctx.prec = before
