"""Small dense algebra on one BLAS thread, whatever the caller's setting, which comes back."""

from drawing import draw_network
from threadpoolctl import ThreadpoolController

from lipsnn import certify
from lipsnn.certificate import entry
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
    solve = entry.interior_point

    def watched(*arguments):
        seen.extend(blas_threads())
        return solve(*arguments)

    monkeypatch.setattr(entry, "interior_point", watched)
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        before = blas_threads()
        certify(draw_network(0, 20, 4))
        assert set(seen) == {1}
        assert blas_threads() == before
        assert 2 in before
