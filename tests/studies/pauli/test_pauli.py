import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("numba")

from studies.pauli import study as pauli
from studies.pauli import toys
from studies.pauli.descent import TanhNet, descend


def torch_twin(net):
    twin = nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 1))
    with torch.no_grad():
        arrays = (net.inner[:, None], net.shift, net.outer[None], np.array([net.offset]))
        for parameter, values in zip(twin.parameters(), arrays, strict=True):
            parameter.copy_(torch.tensor(values))
    return twin


def arrays_of(module):
    inner, shift, outer, offset = (p.detach().numpy() for p in module.parameters())
    return np.concatenate([inner[:, 0], shift, outer[0], offset])


def flat(net):
    return np.concatenate([net.inner, net.shift, net.outer, [net.offset]])


@pytest.mark.parametrize(
    ("decay", "penalty", "strength"),
    [(0.0, 0.0, 0.0), (0.01, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 0.02)],
)
def test_compiled_descent_is_the_plain_torch_loop(decay, penalty, strength):
    (net,) = toys.initial_nets(2, 1)
    x, y = toys.points(), toys.noisy_sine(2)
    rng = np.random.default_rng(0)
    anchor = [rng.normal(size=(10, 1)), rng.normal(size=(1, 10))]
    twin = torch_twin(net)
    steps = torch.optim.SGD(twin.parameters(), lr=0.01)
    inputs, targets = torch.tensor(x)[:, None], torch.tensor(y)[:, None]
    pulls = [torch.tensor(a, dtype=torch.float32) for a in anchor]
    for _ in range(300):
        steps.zero_grad()
        loss = nn.functional.mse_loss(twin(inputs), targets)
        loss = loss + decay / 2 * sum((p**2).sum() for p in twin.parameters())
        for weight, pull in zip((twin[0].weight, twin[2].weight), pulls, strict=True):
            loss = loss + penalty / 2 * ((weight - pull) ** 2).sum()
        products = twin[0].weight[:, 0] * twin[2].weight[0]
        bound = torch.maximum(products.relu().sum(), (-products).relu().sum())
        (loss + strength * bound**2).backward()
        steps.step()
    terms = {"decay": decay, "penalty": penalty, "anchor": anchor, "strength": strength}
    found = descend(net, x, y, 300, **terms, every=100)
    np.testing.assert_allclose(flat(found.net), arrays_of(twin), atol=2e-6)
    assert found.steps.tolist() == [0, 100, 200, 300]
    assert found.mse[0] == pytest.approx(toys.mse(net, x, y), rel=1e-5)
    assert found.mse[-1] == pytest.approx(toys.mse(found.net, x, y), rel=1e-5)


def test_initial_networks_are_those_of_the_code():
    torch.manual_seed(2)
    first, second = (nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 1)) for _ in "ab")
    drawn = toys.initial_nets(2, 2)
    assert (flat(drawn[0]) == arrays_of(first)).all()
    assert (flat(drawn[1]) == arrays_of(second)).all()
    torch.manual_seed(2)
    noise = torch.rand(100)
    third = nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 1))
    assert (flat(toys.initial_nets(2, 1, noise_first=True)[0]) == arrays_of(third)).all()
    expected = torch.sin(torch.linspace(0, 10, 100)) + noise
    assert (toys.noisy_sine(2) == expected.numpy()).all()


def test_slope_is_the_derivative_and_below_the_bound():
    (net,) = toys.initial_nets(0, 1)
    net = TanhNet(5 * net.inner, net.shift, net.outer, net.offset)
    x = np.linspace(-1, 1, 7)
    difference = (net(x + 1e-6) - net(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(net.slope(x), difference, atol=1e-7)
    assert toys.steepest(net) <= toys.certificate(net).bound


SMALL = pauli.Profile(
    nominal=2_000, l2_first=2_000, l2_second=20_000, rounds=4, steps=200, starts=1
)


def test_bound_of_one_input_is_the_certificate():
    for net in toys.initial_nets(5, 3):
        products = (net.inner * net.outer).astype(float)
        closed = max(products.clip(0).sum(), (-products).clip(0).sum())
        assert toys.certificate(net).bound == pytest.approx(closed, rel=1e-6)


def test_table_1_has_its_columns_and_falls():
    table, done = pauli.table_1(SMALL)
    assert table["network"].tolist() == [*pauli.NETWORKS, "direct"]
    assert {"mse", "bound", "paper_mse", "paper_bound"} < set(table.columns)
    assert (table["steepest"] <= table["bound"] * (1 + 1e-6)).all()
    start = toys.mse(toys.initial_nets(2, 1)[0], toys.points(), toys.steps_target())
    assert table["mse"][0] < start
    rounds = pauli.convergence(done)
    assert len(rounds) == SMALL.rounds
    assert (rounds["certified"] <= rounds["bound"] * (1 + 1e-7)).all()
    trade = pauli.trade_off(done, toys.steps_target(), SMALL).sort_values("strength")
    assert (np.diff(trade["bound"]) < 0).all()


def test_enforced_bound_holds_in_every_round():
    table, done = pauli.table_2(SMALL)
    desired = table.query("network == 'l2' and init == 'code'")["bound"].item()
    rounds = pauli.convergence(done)
    assert len(rounds) == SMALL.rounds
    # LipSDP anew of each Wbar, not the level that the step was given
    assert (rounds["certified"] <= desired * (1 + 1e-7)).all()
    assert rounds["certified"].nunique() > 1
    assert sorted(set(table["init"])) == ["0", "code"]
    assert len(table) == 6
