"""A torch module is taken as what its forward computes, or refused with the layer named."""

import copy
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

import lipsnn
from lipsnn import as_network
from lipsnn.activations import Activation

pytestmark = pytest.mark.filterwarnings("ignore")


class Plain(nn.Module):
    """Registered in another order than forward's; subclasses change forward."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.second, self.first = nn.Linear(8, 1), nn.Linear(2, 8)
        self.calls = 0

    def forward(self, x):
        return self.second(F.relu(self.first(x.view(x.size(0), -1)))).squeeze(-1)


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))


class Tied(Plain):
    def __init__(self):
        super().__init__()
        self.middle, self.relu = nn.Linear(8, 8), nn.ReLU(inplace=True)

    def forward(self, x):
        for layer in (self.first, self.middle, self.middle):
            x = self.relu(layer(x))
        return self.second(x)


class InPlaceOnViews(Plain):
    def forward(self, x):
        y = self.first(x)
        z = y.view(-1, 8)
        z.relu_()
        z += 1
        y.mul_(2)
        return self.second(y)


class Clamped(Plain):
    def forward(self, x):
        return 3 - self.second(self.first(x / 2 - 1).clamp(min=0.5)) * 2


class Scaled(nn.Sequential):
    def forward(self, x):
        return 5 * super().forward(x)


class InTraining(Plain):
    def forward(self, x):
        return super().forward(x) * (10 if self.training else 1)


def hooked():
    net = plain()
    net[0].register_forward_hook(lambda module, inputs, output: 10 * output)
    net.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 3,))
    return net


def patched():
    net = plain()
    net[0].forward = lambda x: 7 * nn.Linear.forward(net[0], x)
    return net


def weight_normed():
    net = nn.Sequential(nn.utils.weight_norm(nn.Linear(2, 8)), nn.ReLU(), nn.Linear(8, 1))
    net[0].weight_g.data *= 10
    return net


def pruned():
    net = plain()
    prune.l1_unstructured(net[0], "weight", amount=0.3)
    net[0].weight_orig.data *= 10
    return net


def parametrised():
    net = plain()
    parametrizations.spectral_norm(net[0])
    parametrizations.weight_norm(net[2])
    return net


def normalised():
    norms = [nn.BatchNorm1d(2), nn.BatchNorm1d(8), nn.BatchNorm1d(8)]
    net = nn.Sequential(norms[0], nn.Linear(2, 8), norms[1], nn.ReLU(), norms[2], nn.Linear(8, 1))
    net(torch.randn(50, 2) * 3 + 1)
    return net


def every_activation():
    acts = [
        nn.ELU(0.5),
        nn.SELU(),
        nn.CELU(2.0),
        nn.PReLU(6),
        nn.Softplus(2.0),
        nn.Hardtanh(),
        nn.ReLU6(),
        nn.Hardswish(),
        nn.Hardsigmoid(),
        nn.Mish(),
        nn.SiLU(),
        nn.GELU(),
        nn.GELU("tanh"),
        nn.RReLU(),
        nn.LogSigmoid(),
        nn.Softshrink(),
        nn.LeakyReLU(-0.1),
    ]
    return nn.Sequential(nn.Linear(2, 6), *(m for a in acts for m in (a, nn.Linear(6, 6))))


READ = {
    "functional": Plain,
    "tied": Tied,
    "in place": InPlaceOnViews,
    "clamped": Clamped,
    "scaled": lambda: Scaled(*plain()),
    "another forward in training": InTraining,
    "hooks": hooked,
    "patched forward": patched,
    "stale weight norm": weight_normed,
    "pruned": pruned,
    "spectral norm": lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 8)), *plain()[1:]),
    "parametrisations": parametrised,
    "orthogonal": lambda: nn.Sequential(parametrizations.orthogonal(plain()[0]), *plain()[1:]),
    "data parallel": lambda: nn.DataParallel(plain()),
    "scripted": lambda: torch.jit.script(plain()),
    "fx": lambda: torch.fx.symbolic_trace(Plain()),
    "batch normalisation": normalised,
    "all activations": every_activation,
    "starts with ReLU": lambda: nn.Sequential(nn.ReLU(), nn.Linear(2, 3), nn.Sigmoid()),
    "unflattened": lambda: nn.Sequential(nn.Unflatten(1, (1, 2)), *plain()),
    "no biases": lambda: nn.Sequential(nn.Linear(2, 4, bias=False), nn.Tanh(), nn.Linear(4, 3)),
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("training", [True, False])
def test_computes_what_forward_does_and_leaves_it_alone(name, training):
    net = READ[name]().train(training)
    net[0].eval() if isinstance(net, nn.Sequential) else None
    flags = [module.training for module in net.modules()]
    attributes = [dict(vars(module)) for module in net.modules()]
    numbers = {key: value.clone() for key, value in net.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    converted = as_network(net)
    assert flags == [module.training for module in net.modules()]
    for module, before in zip(net.modules(), attributes, strict=True):
        assert vars(module).keys() == before.keys()
        assert all(vars(module)[key] is value for key, value in before.items())
    assert all(torch.equal(value, numbers[key]) for key, value in net.state_dict().items())
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    X = torch.randn(50, 2, generator=torch.Generator().manual_seed(1)) * 2
    net.eval()
    with torch.no_grad():
        y = net(X).numpy().reshape(50, -1)
    np.testing.assert_allclose(converted(X), y, rtol=2e-4, atol=2e-5)
    if name in ("in place", "all activations"):  # no gradient by torch; too deep to be quick
        return
    x = X.clone().requires_grad_()
    net(x).reshape(50, -1)[:, 0].sum().backward()
    bound = lipsnn.certify(converted.select(0)).bound
    assert float(x.grad.norm(dim=1).max()) <= bound * (1 + 1e-5)


class Residual(Plain):
    def forward(self, x):
        return 10 * x[:, :1] + super().forward(x)[:, None]


class Branch(Plain):
    def forward(self, x):
        return super().forward(x) * (10 if x.abs().max() > 1e6 else 1)


class Where(Plain):
    def forward(self, x):
        y = super().forward(x)
        return torch.where(y > 1e9, 10 * y, y)


class Counter(Plain):
    def forward(self, x):
        self.calls += 1
        return super().forward(x) * (10 if self.calls % 5 == 0 else 1)


class Batch(Plain):
    def forward(self, x):
        return super().forward(x) * (10 if len(x) == 1 else 1)


class Centred(Plain):
    def forward(self, x):
        return super().forward(x - x.mean(0))


class ThroughNumpy(Plain):
    def forward(self, x):
        return super().forward(torch.as_tensor(2 * x.detach().numpy()))


class ThroughList(Plain):
    def forward(self, x):
        return super().forward(torch.tensor(x.tolist()))


class FallsBack(Plain):
    """What it does far away is refused, and caught."""

    def forward(self, x):
        y = super().forward(x)
        try:
            return y + F.relu(1e3 * x[:, 0] - 4e6)
        except Exception:
            return y


class FallsBackFromNumpy(Plain):
    def forward(self, x):
        y = super().forward(x)
        try:
            return y + 1e3 * torch.as_tensor(np.maximum(x.detach().numpy()[:, 0] - 4e3, 0))
        except Exception:
            return y


class WithGradients(Plain):
    def forward(self, x):
        return super().forward(x) * (10 if torch.is_grad_enabled() else 1)


class OwnMode(Plain):
    """Whose evaluation is more than a flag."""

    def train(self, mode=True):
        self.factor = 1 if mode else 10
        return super().train(mode)

    def forward(self, x):
        return super().forward(x) * (1 if self.training else self.factor)


class Noisy(Plain):
    def forward(self, x):
        return super().forward(x + 1e-2 * torch.randn(2))


class AlwaysDrops(Plain):
    def forward(self, x):
        return self.second(F.dropout(F.relu(self.first(x))))


class Pair(Plain):
    def forward(self, x):
        return super().forward(x), x


class Overwrites(Plain):
    def forward(self, x):
        y = self.first(x)
        y[:, 0] = 0
        return self.second(F.relu(y))


class Constant(Plain):
    def forward(self, x):
        return self.second(torch.ones(len(x), 8))


class Mixes(Plain):
    def forward(self, x):
        return super().forward(x.T.reshape(-1, 2))


class Modes(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = plain()

    def forward(self, x):
        return self.net(x) * (1.0 if self.training else 10.0)


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(Modes())


class Clipped(nn.Module):
    def forward(self, x):
        return x.clamp(min=float("inf"))


def last(*modules):
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), *modules)


class GroupSort(Plain):
    def forward(self, x):
        return self.second(self.first(x).reshape(-1, 4, 2).sort(2)[0].reshape(-1, 8))


class MaxMin(Plain):
    def forward(self, x):
        pairs = self.first(x).reshape(-1, 2, 4)
        return self.second(torch.cat([pairs.amax(1), pairs.amin(1)], dim=1))


def filled(value):
    net = plain()
    nn.init.constant_(net[0].weight, value)
    return net


def with_sparse_weights():
    net = plain()
    net[0].weight = nn.Parameter(net[0].weight.detach().to_sparse())
    return net


REFUSED = [
    (Residual(), "Residual"),
    (Branch(), "is not supported"),
    (Where(), "is not supported"),
    (Counter(), "state or a branch"),
    (Batch(), "state or a branch"),
    (Centred(), "mean"),
    (ThroughNumpy(), "numpy"),
    (ThroughList(), "tolist"),
    (FallsBack(), "select"),
    (FallsBackFromNumpy(), "numpy"),
    (WithGradients(), "not what its layers say"),
    (OwnMode().train(), "call eval"),
    (last(nn.Linear(3, 4), nn.Unflatten(1, (2, 2)), nn.PReLU(2), nn.Flatten()), "PReLU"),
    (last(nn.Linear(3, 1), Clipped()), "not finite"),
    (Noisy(), "state or a branch"),
    (AlwaysDrops(), "is not supported"),
    (Pair(), "must return one tensor"),
    (Overwrites(), "select"),
    (Constant(), "does not come from its input"),
    (Mixes(), "is not supported"),
    (last(nn.Linear(3, 2), nn.Softmax(1)), r"3 \(Softmax\)"),
    (last(nn.LayerNorm(3), nn.Linear(3, 2)), r"2 \(LayerNorm\)"),
    (last(nn.Softsign(), nn.Linear(3, 2)), r"2 \(Softsign\)"),
    (last(nn.Threshold(0.1, 0.2), nn.Linear(3, 1)), "jump"),
    (last(nn.Softplus(threshold=1.0), nn.Linear(3, 1)), "jumps"),
    (last(nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 1)), "by the batch itself"),
    (nn.Sequential(nn.Conv2d(1, 1, 3)), "Conv2d is not supported"),
    (last(nn.Linear(4, 1)), "do not chain"),
    (nn.Sequential(nn.Linear(2, 3)), "no activation"),
    (nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(1.0), nn.Linear(3, 1)), "no activation"),
    (nn.Sequential(nn.Identity()), "no Linear"),
    (nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(1)), "lazy"),
    (plain().to("meta"), "meta"),
    (plain().to(torch.complex64), "floating"),
    (nn.Sequential(nn.Embedding(3, 2)), "Embedding"),
    (filled(float("nan")), "NaN"),
    (GroupSort(), "GroupSort and MaxMin"),
    (MaxMin(), "GroupSort and MaxMin"),
    (with_sparse_weights(), "to_dense"),
]


@pytest.mark.parametrize(("net", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_is_not_a_chain_is_refused_by_everything(net, message):
    X, y = np.ones((4, 2)), np.ones(4)
    for call in (
        lambda: lipsnn.certify(net),
        lambda: lipsnn.ShallowNet.from_torch(net),
        lambda: lipsnn.objective(net, X, y, 1.0, "l2"),
        lambda: lipsnn.refine(net, X, y, 1.0),
        lambda: lipsnn.pgd_attack(net, X, y, 0.1),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_evaluation_of_its_own_is_read():
    modes = scripted()
    as_network(modes)
    assert modes.training
    assert modes.net.training
    for net in (OwnMode().eval(), modes.eval()):
        x = torch.randn(5, 2)
        np.testing.assert_allclose(as_network(net)(x), net(x).detach().reshape(5, 1), rtol=1e-5)
    np.testing.assert_array_equal(as_network(modes.train())(x), as_network(modes.eval())(x))


def test_autocast_around_the_call_does_not_round_the_weights():
    net = plain()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        bound = lipsnn.certify(net).bound
        assert torch.is_autocast_enabled("cpu")
    assert bound == lipsnn.certify(net).bound


def test_max_min_may_be_written_with_prelu():
    """As the refusal of GroupSort says; the pairs' sector is the exact one of 1-Lipschitz units."""
    torch.manual_seed(0)
    first, last = nn.Linear(3, 8).double(), nn.Linear(8, 1).double()
    one = torch.eye(4, dtype=torch.float64)
    pairs, prelu = nn.Linear(8, 8).double(), nn.PReLU(8, dtype=torch.float64)
    with torch.no_grad():
        pairs.weight.copy_(torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), one))
        prelu.weight.copy_(torch.tensor([1.0, -1.0]).repeat_interleave(4))
    back = copy.deepcopy(pairs)
    with torch.no_grad():
        pairs.bias.zero_()
        back.bias.zero_()
        back.weight.mul_(0.5)
    net = nn.Sequential(first, pairs, prelu, back, last)
    x = torch.randn(500, 3, dtype=torch.float64, requires_grad=True)
    u, v = first(x).split(4, dim=1)
    y = last(torch.cat([torch.maximum(u, v), torch.minimum(u, v)], dim=1))
    torch.testing.assert_close(net(x), y)
    (slopes,) = torch.autograd.grad(y.sum(), x)
    certificate = lipsnn.certify(net)
    norms = [torch.linalg.matrix_norm(layer.weight, 2) for layer in (first, last)]
    assert slopes.norm(dim=1).max() <= certificate.verify() <= norms[0] * norms[1] * (1 + 1e-9)


def test_a_rare_branch_is_found_on_the_users_inputs():
    class Rare(Plain):
        def forward(self, x):
            return super().forward(x) * (10 if len(x) == 7 else 1)

    as_network(Rare())  # nobody can know
    with pytest.raises(ValueError, match="state or a branch"):
        as_network(Rare(), np.ones((7, 2)))


def test_a_relu_used_twice_counts_twice():
    torch.manual_seed(0)
    relu, a, b, c = nn.ReLU(), nn.Linear(1, 40), nn.Linear(40, 40), nn.Linear(40, 1)
    with torch.no_grad():  # the linear path cancels, ReLU makes the slope
        a.weight.fill_(1)
        b.weight.copy_(torch.cat([torch.eye(20, 40), -torch.eye(20, 40)]))
        c.weight.fill_(1)
        for layer in (a, b):
            layer.bias.zero_()
    net = nn.Sequential(a, relu, b, relu, c)
    assert as_network(net) == as_network(nn.Sequential(a, nn.ReLU(), b, nn.ReLU(), c))
    assert lipsnn.certify(net).bound == pytest.approx(20.0, rel=1e-6)


def test_compiled_modules_are_unwrapped():
    net = plain()
    expected = as_network(net)
    assert as_network(torch.compile(net)) == expected
    assert as_network(torch.compile(nn.DataParallel(net))) == expected
    net.compile()
    assert as_network(net) == expected


class DataParallel(nn.Module):
    """Named as torch's, but it does something of its own."""

    def __init__(self, module):
        super().__init__()
        self.module = self._orig_mod = module

    def forward(self, x):
        return 10 * self.module(x)


OptimizedModule = type("OptimizedModule", (DataParallel,), {})
Tenfold = type("Tenfold", (nn.DataParallel,), {"forward": DataParallel.forward})


def hooked(wrapper):
    wrapper.register_forward_hook(lambda _, __, y: 10 * y)
    return wrapper


def own_forward(wrapper):
    wrapper.forward = lambda x: 10 * wrapper.module(x)
    return wrapper


@pytest.mark.parametrize(
    "wrap",
    [
        DataParallel,
        OptimizedModule,
        Tenfold,
        lambda net: hooked(nn.DataParallel(net)),
        lambda net: hooked(torch.compile(net)),
        lambda net: torch.compile(hooked(nn.DataParallel(net))),
        lambda net: own_forward(nn.DataParallel(net)),
    ],
)
def test_what_a_wrapper_adds_is_read_too(wrap):
    net = plain()
    expected = 10 * lipsnn.certify(net).bound
    assert lipsnn.certify(wrap(net)).bound == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_weights_are_exact_and_the_dtype_is_kept(dtype, bias):
    module = nn.Sequential(nn.Linear(3, 5, bias=bias), nn.ReLU(), nn.Linear(5, 1, bias=bias))
    module = module.to(dtype)
    net = as_network(module)
    assert (net.weights[0] == module[0].weight.detach().double().numpy()).all()
    back = net.to_torch()
    assert back[0].weight.dtype == dtype
    assert torch.equal(back[2].weight, module[2].weight)
    assert as_network(back) == net
    assert net.to_torch(torch.float64)[0].weight.dtype == torch.float64


@pytest.mark.parametrize(
    "name",
    [
        "tanh",
        "sigmoid",
        "elu",
        "selu",
        "silu",
        "gelu",
        "gelu_tanh",
        "hardtanh",
        "relu6",
        "leaky_relu",
        "prelu",
        "mish",
        "celu",
    ],
)
def test_round_trip_of_activations(name):
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(4, 3)), rng.normal(size=(2, 4))]
    net = lipsnn.Network(weights, [np.ones(4), np.zeros(2)], name)
    again = as_network(net.to_torch())
    assert (again.weights[0] == net.weights[0]).all()
    X = rng.normal(size=(20, 3)) * 4
    np.testing.assert_allclose(again(X), net(X), rtol=1e-12)
    assert again.sectors == net.sectors


def test_prelu_slopes_of_each_unit():
    act = nn.PReLU(3)
    act.weight.data = torch.tensor([0.5, -0.25, 2.0])
    net = as_network(nn.Sequential(nn.Linear(2, 3), act, nn.Linear(3, 1)))
    assert net.activations == (Activation("prelu", (0.5, -0.25, 2.0)),)
    assert net.sectors == ((-0.25, 2.0),)


def test_weights_beyond_a_dtype_are_refused():
    net = lipsnn.Network([[[1e100]], [[1.0]]])
    with pytest.raises(ValueError, match="beyond the range"):
        net.to_torch(torch.float32)


def test_a_deepcopy_is_not_needed_and_gradients_stay():
    net = plain()
    net(torch.ones(1, 2)).sum().backward()
    before = copy.deepcopy([p.grad for p in net.parameters()])
    as_network(net)
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), before, strict=True))
    assert all(p.requires_grad for p in net.parameters())


def test_heavy_libraries_are_imported_where_they_are_needed():
    code = (
        "import sys, lipsnn.convert as c, lipsnn.network as n; "
        "c.as_network(n.ShallowNet([[1.0, 0.0]], [1.0])); "
        "print([m for m in ('onnx',) if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
