import math

import numpy as np
import pytest
import torch
from torch import nn

from lipsnn import ShallowNet, certify
from lipsnn.train.clip import (
    LipschitzSet,
    largest_quotient,
    noisy_copies,
    quotients,
    uniform_pairs,
)


def smooth_net(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 12), nn.Tanh(), nn.Linear(12, 2)).to(dtype)


def drawn_pairs(seed=0, count=20, dim=3, **settings):
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    second = first + 0.3 * torch.randn(count, dim, generator=generator, dtype=torch.float64)
    return LipschitzSet(first, second, **settings)


@pytest.mark.parametrize("input_norm", [2, math.inf])
@pytest.mark.parametrize("output_norm", [2, math.inf])
def test_an_update_never_lowers_a_quotient_and_raises_most(input_norm, output_norm):
    net = smooth_net()
    pairs = drawn_pairs(step=0.05, input_norm=input_norm, output_norm=output_norm)
    before = pairs.quotients(net)
    after = pairs.update(net)
    torch.testing.assert_close(pairs.quotients(net), after)
    assert (after >= before).all()
    assert (after > before).double().mean() > 0.8
    for _ in range(50):
        after = pairs.update(net)
    assert float(after.mean()) > 1.3 * float(before.mean())
    assert after.max() > before.max()


def test_an_update_moves_by_tau_times_L_grad_L():
    net = smooth_net()
    pairs = drawn_pairs(count=1, step=1e-3)
    x, other = pairs.first[0].clone(), pairs.second[0].clone()
    slope = float(pairs.quotients(net))
    for k in range(3):
        shift = torch.zeros(1, 3, dtype=torch.float64)
        shift[0, k] = 1e-6
        with torch.no_grad():
            up, down = (float(quotients(net, x[None] + s, other[None])) for s in (shift, -shift))
        expected = 1e-3 * slope * (up - down) / 2e-6
        if k == 0:
            pairs.update(net)
        assert float(pairs.first[0, k] - x[k]) == pytest.approx(expected, rel=1e-5, abs=1e-12)


def test_steps_grow_where_kept_and_shrink_elsewhere():
    net, pairs = smooth_net(), drawn_pairs(step=3.0, factor=2.0)
    first, before = pairs.first, pairs.quotients(net)
    after = pairs.update(net)
    kept = after > before
    assert 0 < int(kept.sum()) < len(kept)
    torch.testing.assert_close(pairs.steps[kept], torch.full_like(pairs.steps[kept], 6.0))
    torch.testing.assert_close(pairs.steps[~kept], torch.full_like(pairs.steps[~kept], 1.5))
    torch.testing.assert_close(pairs.first[~kept], first[~kept])


@pytest.mark.parametrize("seed", range(5))
def test_the_estimate_never_exceeds_the_certificate(seed):
    rng = np.random.default_rng(seed)
    net = ShallowNet(rng.normal(size=(15, 4)), rng.normal(size=15))
    found = largest_quotient(net.to_torch(), drawn_pairs(seed, 100, step=1.0), 200)
    certified = certify(net).bound
    assert found <= certified * (1 + 1e-9)
    # and not for want of trying: at least the steepest of many sampled gradients
    sampled = np.linalg.norm(net.gradient(rng.normal(size=(1000, 3))), axis=1).max()
    assert found >= 0.9 * sampled


def test_in_single_precision_rounding_is_not_taken_for_slope():
    rng = np.random.default_rng(1)
    net = ShallowNet(rng.normal(size=(15, 4)), rng.normal(size=15))
    double = drawn_pairs(1, 50)
    pairs = LipschitzSet(double.first.float(), double.second.float(), step=1.0)
    found = largest_quotient(net.to_torch(torch.float32), pairs, 500)
    assert found <= certify(net).bound * 1.01


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("power", [1, 2])
def test_the_regularisers_gradient_is_that_of_differences(power, pooling):
    net, pairs = smooth_net(), drawn_pairs()
    values = pairs.quotients(net)

    def pooled():
        each = pairs.quotients(net) ** power
        return float(each.max() if pooling == "max" else each.mean())

    penalty = pairs.penalty(net, values, power, pooling)
    assert float(penalty.detach()) == pytest.approx(pooled())
    penalty.backward()
    for parameter in net.parameters():
        entry = (0,) * parameter.ndim
        with torch.no_grad():
            kept = float(parameter[entry])
            sides = []
            for h in (1e-6, -1e-6):
                parameter[entry] = kept + h
                sides.append(pooled())
            parameter[entry] = kept
        difference = (sides[0] - sides[1]) / 2e-6
        assert float(parameter.grad[entry]) == pytest.approx(difference, rel=1e-6, abs=1e-9)


def test_the_loop_of_the_docstring_flattens_a_network():
    X = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    bounds = []
    for strength in (0.0, 0.1, 1.0):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(1, 20), nn.ReLU(), nn.Linear(20, 1)).double()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        draw = uniform_pairs(-1, 1, 30, 0.1, dtype=torch.float64)
        pairs = LipschitzSet(*draw(torch.Generator().manual_seed(0)), step=1.0)
        for _ in range(200):
            optimizer.zero_grad()
            loss = ((net(X) - 3 * X) ** 2).mean()
            (loss + strength * pairs.penalty(net, pairs.update(net))).backward()
            optimizer.step()
        bounds.append(certify(net).bound)
    assert bounds[0] > bounds[1] > 2 * bounds[2]


def test_dropout_is_off_in_a_quotient_and_on_again_after():
    net = nn.Sequential(nn.Linear(3, 50), nn.Dropout(0.5), nn.Linear(50, 1)).double()
    pairs = drawn_pairs()
    torch.testing.assert_close(pairs.quotients(net), pairs.quotients(net))
    pairs.update(net)
    assert net.training


def test_equal_inputs_have_quotient_zero_and_may_not_come_closer():
    net = smooth_net()
    x = torch.ones(2, 3, dtype=torch.float64)
    pairs = LipschitzSet(x, x)
    assert pairs.update(net).tolist() == [0.0, 0.0]
    assert torch.equal(pairs.first, x)


def test_drawn_pairs_are_what_they_say_and_seeded():
    pool = torch.arange(40.0).reshape(20, 2)
    draw = noisy_copies(pool, size=8, noise=0.1)
    first, second = draw(torch.Generator().manual_seed(3))
    assert len(torch.unique(first[:, 0])) == 8
    assert ((second - first) >= 0).all()
    assert (second - first).max() <= 0.1 + 1e-5
    torch.testing.assert_close(draw(torch.Generator().manual_seed(3))[1], second)
    assert len(noisy_copies(pool, size=500)(torch.Generator())[0]) == 20
    x, near = uniform_pairs(-4, 4, 1000, 0.1)(torch.Generator().manual_seed(0))
    assert -4 <= x.min() < -3.9
    assert 3.9 < x.max() <= 4
    assert 0.08 < float((near - x).std()) < 0.12


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: LipschitzSet(torch.ones(2, 3), torch.ones(3, 3)), "same shape"),
        (lambda: LipschitzSet(torch.ones(0, 3), torch.ones(0, 3)), "at least 1"),
        (lambda: drawn_pairs(input_norm=1), "input_norm"),
        (lambda: drawn_pairs(step=0), "step"),
        (lambda: uniform_pairs(1, 1, 5, 0.1), "below high"),
        (lambda: noisy_copies(torch.ones(3, 2), noise=0), "noise"),
    ],
)
def test_bad_arguments(make, word):
    with pytest.raises(ValueError, match=word):
        make()
