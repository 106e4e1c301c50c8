"""The deployed network: rational arithmetic judges E, and a search looks for a violated bound."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from degenerate import KINDS, draw
from drawing import draw_network

from lipsnn import Network, ShallowNet, certify
from lipsnn.activations import Activation
from lipsnn.certificate.deployed import COVERED, evaluation_error, spectral_norm

TYPES = {name: getattr(torch, name) for name in ("float32", "float16", "bfloat16")}
PARAMETERS = {
    "leaky_relu": (0.3,),
    "prelu": (0.1, -1.7, 0.5, 3.3),
    "hardtanh": (-0.3, 1.1),
    "softshrink": (0.7,),
}
VARIED = [Activation(name, PARAMETERS.get(name, ())) for name in COVERED]
VARIED += [Activation("leaky_relu", (0.3, 1.9)), Activation("hardtanh", (0.3, 1.1))]


def exactly(phi, u, unit):
    """phi(u) of a fraction."""
    own = [Fraction(value) for value in phi.parameters]
    if phi.name == "prelu":
        own = [own[unit % len(own)]]
    match phi.name:
        case "relu":
            return max(u, 0)
        case "abs":
            return abs(u)
        case "leaky_relu" | "prelu":
            return own[0] * u if u < 0 else u * (own[1] if len(own) > 1 else 1)
        case "softshrink":
            return u - min(max(u, -own[0]), own[0])
        case "hardtanh":
            return min(max(u, own[0]), own[1])
        case "relu6":
            return min(max(u, 0), 6)


def rational(net, x):
    """f(x) as fractions."""
    v = [Fraction(value) for value in x]
    for i, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        v = [
            sum((Fraction(w) * y for w, y in zip(row, v, strict=True)), Fraction(c))
            for row, c in zip(W.tolist(), b.tolist(), strict=True)
        ]
        if i < len(net.activations):
            v = [exactly(net.activations[i], u, j) for j, u in enumerate(v)]
    return v


def distance(found, exact):
    """l2 distance of a computed output from the exact one."""
    return sum((Fraction(a) - b) ** 2 for a, b in zip(found, exact, strict=True)) ** 0.5


def active(phi, u):
    """phi as its formula stands, each operation in the type of u."""
    own = [torch.tensor(value, dtype=u.dtype) for value in phi.parameters]
    match phi.name:
        case "relu":
            return u.clamp(min=0)
        case "abs":
            return u.abs()
        case "prelu":
            return torch.where(u < 0, u * torch.stack(own), u)
        case "leaky_relu":
            return torch.where(u < 0, u * own[0], u * own[1] if len(own) > 1 else u)
        case "softshrink":
            return torch.where(u > own[0], u - own[0], torch.where(u < -own[0], u + own[0], 0 * u))
        case "hardtanh":
            return u.clamp(own[0], own[1])
        case "relu6":
            return u.clamp(0, 6)


def evaluated(net, X, rng=None, halves=False):
    """In the type of X, all partial sums too: in order, permuted by `rng`, or by neighbours."""
    for i, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        W, b = torch.tensor(W).to(X.dtype), torch.tensor(b).to(X.dtype)
        terms = [*(X[:, None, :] * W).unbind(-1), b.expand(len(X), -1)]
        if rng is not None:
            terms = [terms[k] for k in rng.permutation(len(terms))]
        while len(terms) > 1:
            if halves:
                rest = terms[len(terms) // 2 * 2 :]
                terms = [p + q for p, q in zip(terms[::2], terms[1::2], strict=False)] + rest
            else:
                terms = [terms[0] + terms[1], *terms[2:]]
        X = terms[0]
        if i < len(net.activations):
            X = active(net.activations[i], X)
    return X


def all_orders(net, X, rng):
    yield from (evaluated(net, X), evaluated(net, X, halves=True))
    yield from (evaluated(net, X, rng), evaluated(net, X, rng, halves=True))
    if not any(phi.name == "abs" or len(phi.parameters) == 2 for phi in net.activations):
        yield net.to_torch(X.dtype)(X).detach()


def inputs(rng, count, dim, radius, dtype):
    """Numbers of the type, of norm at most the radius, half of them almost of that norm."""
    X = rng.normal(size=(count, dim))
    lengths = np.where(np.arange(count) % 2, 1.0, rng.uniform(size=count)) * 0.99 * radius
    return torch.tensor(X * (lengths / np.linalg.norm(X, axis=1))[:, None]).to(dtype)


def worst(net, X, rng):
    """The largest error of all orders of summation."""
    exact = [rational(net, x) for x in X.double().tolist()]
    return max(
        distance(found, y)
        for values in all_orders(net, X, rng)
        for found, y in zip(values.double().tolist(), exact, strict=True)
    )


def draw_deep(rng, widths, phi):
    sizes = list(pairwise(widths))
    weights = [rng.normal(size=(m, n)) / np.sqrt(n) for n, m in sizes]
    return Network(weights, [rng.normal(size=m) for _, m in sizes], phi)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("phi", VARIED, ids=repr)
def test_no_evaluation_is_further_from_the_rational_one(phi, dtype):
    rng = np.random.default_rng(5)
    for widths, radius in (((3, 4, 1), 0.01), ((3, 4, 1), 100.0), ((2, 4, 4, 2), 2.0)):
        net = draw_deep(rng, widths, phi)
        error = evaluation_error(net, dtype, radius)
        assert worst(net, inputs(rng, 6, widths[0], radius, TYPES[dtype]), rng) <= error


@pytest.mark.parametrize("dtype", ["float64", *TYPES])
def test_networks_of_nasty_kinds(dtype):
    rng, finite = np.random.default_rng(1), 0
    for index in range(3 * len(KINDS)):
        net = draw(rng, KINDS[index % len(KINDS)], rng.integers(1, 7), rng.integers(1, 5))
        net = net.to_network()
        error = evaluation_error(net, dtype, 3.0)
        assert error >= 0
        if np.isfinite(error):
            finite += 1
            assert worst(net, inputs(rng, 4, net.dim, 3.0, getattr(torch, dtype)), rng) <= error
    assert finite >= len(KINDS)


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 24), ("float16", 11), ("bfloat16", 8)])
def test_it_is_nearly_attained(dtype, digits):
    """Each term but the first is half a digit of the sum, and lost."""
    n = 48
    low = -(digits // 2)
    w = np.array([1.0] + [2.0**low] * n)
    x = np.array([1.0] + [2.0 ** (-digits - low)] * n)
    net = ShallowNet(np.append(w, 0.0)[None], [1.0]).to_network()
    X = torch.tensor(x[None]).to(TYPES[dtype])
    lost = distance(evaluated(net, X)[0].double().tolist(), rational(net, x))
    assert lost == n * 2.0**-digits
    error = evaluation_error(net, dtype, float(np.linalg.norm(x)) * (1 + 1e-12))
    assert lost <= error <= 1.5 * lost


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("widths", "factor"), [((11, 50, 1), 400), ((8, 30, 30, 3), 1000)])
def test_how_far_above_what_is_observed_it_is_on_ordinary_networks(widths, factor, dtype):
    """160 to 290 times with one hidden layer, 570 to 750 with two: roundings do not conspire."""
    rng = np.random.default_rng(3)
    net = draw_deep(rng, widths, "relu")
    found = worst(net, inputs(rng, 10, widths[0], 3.0, TYPES[dtype]), rng)
    assert found <= evaluation_error(net, dtype, 3.0) <= factor * found


def violation(certificate, deployed, rng):
    """The largest change of output over ``L |x - x'|``, and over ``L |x - x'| + 2 E``."""
    dtype, net = TYPES[deployed.dtype], certificate.net
    net = net.to_network() if isinstance(net, ShallowNet) else net
    x = inputs(rng, 200, net.dim, 0.99 * deployed.radius, dtype)
    steps = torch.tensor(10.0 ** rng.uniform(-8, 0, (200, 1)) * rng.normal(size=(200, net.dim)))
    plain, allowed = [], []
    for other in (torch.nextafter(x, x + 1), (x.double() + steps).to(dtype), -x, x.roll(1, 0)):
        kept = (other.double().norm(dim=1) <= deployed.radius) & (other != x).any(1)
        a, b = x[kept], other[kept]
        lengths = (a.double() - b.double()).norm(dim=1)
        for u, v in zip(all_orders(net, a, rng), all_orders(net, b, rng), strict=True):
            change = (u.double() - v.double()).norm(dim=1)
            plain.append((change / (certificate.bound * lengths)).max())
            allowed.append((change / (deployed.bound * lengths + 2 * deployed.error)).max())
    return float(max(plain)), float(max(allowed))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("seed", range(2))
def test_search_for_a_violation(seed, dtype):
    rng = np.random.default_rng(seed)
    for net in (draw_network(seed, 20, 4), draw_deep(rng, (3, 12, 12, 2), "leaky_relu")):
        certificate = certify(net)
        _, allowed = violation(certificate, certificate.deployed(dtype, 2.0), rng)
        assert allowed <= 1


@pytest.mark.parametrize("dtype", TYPES)
def test_where_the_certificate_itself_is_violated(dtype):
    """Large biases that cancel: what is left of the inputs is rounding."""
    rng = np.random.default_rng(2)
    W, a = rng.normal(size=(10, 3)), rng.uniform(1, 2, size=10)
    shift = 0.02 / float(torch.finfo(TYPES[dtype]).eps)
    rows = np.vstack([np.column_stack([W, np.full(10, shift)]), [0, 0, 0, shift]])
    net = ShallowNet(rows, np.append(a, -a.sum()))
    certificate = certify(net)
    deployed = certificate.deployed(dtype, 1.0)
    plain, allowed = violation(certificate, deployed, rng)
    assert plain > 2
    assert 0.002 < allowed <= 1


@pytest.mark.parametrize("flush", [False, True])
def test_subnormal_numbers_kept_or_flushed_to_zero(flush):
    w, x = 2.0**-60, 1.5 * 2.0**-67  # the product is just below the least normal number
    net = ShallowNet(np.array([[w] * 8 + [0.0]]), [2.0**20]).to_network()
    X = torch.full((1, 8), x)
    exact = rational(net, X[0].double().tolist())
    if not torch.set_flush_denormal(flush):
        pytest.skip("this processor cannot flush subnormal numbers to zero")
    try:
        found = float(evaluated(net, X)[0, 0])
    finally:
        torch.set_flush_denormal(False)
    error = evaluation_error(net, "float32", 8**0.5 * x)
    lost = distance([found], exact)
    assert (found == 0) is flush
    assert lost <= error <= 10 * float(exact[0])


def test_subnormal_weights_are_read_as_zero():
    net = Network([[[2.0**-16]], [[2.0**10]]])  # float16 has it, as a subnormal number
    assert evaluation_error(net, "float16", 1.0) >= 2.0**-6
    assert evaluation_error(net, "float32", 1.0) < 2.0**-26


def test_rounded_weights_are_part_of_it():
    third, near = Network([[[1 / 3]], [[1.0]]]), Network([[[0.25]], [[1.0]]])
    for dtype, kind in TYPES.items():
        moved = float(abs(torch.tensor(1 / 3).double() - torch.tensor(1 / 3).to(kind).double()))
        assert evaluation_error(third, dtype, 1.0) >= moved
        assert evaluation_error(third, dtype, 1.0) > 1.3 * evaluation_error(near, dtype, 1.0)


def test_overflow_is_refused():
    net = ShallowNet([[300.0, 0.0], [-300.0, 0.0]], [1.0, 1.0])
    deployed = certify(net).deployed("float16", 250.0)
    assert deployed.status == "overflow"
    assert deployed.error == np.inf
    assert not torch.isfinite(net.to_torch(torch.float16)(torch.tensor([[250.0]]).half())).all()
    assert certify(net).deployed("float16", 50.0).status == "done"
    assert certify(net).deployed("bfloat16", 250.0).status == "done"
    for weights in ([[[1e5]], [[1e-5]]], [[[1e-5]], [[1e5]]]):
        assert evaluation_error(Network(weights), "float16", 1e-3) == np.inf
    hidden = Network([[[1e4]], [[1.0]]], None, Activation("relu6"))  # beyond the type before the 6
    assert evaluation_error(hidden, "float16", 10.0) == np.inf
    assert evaluation_error(Network([[[1e308]], [[1e308]]]), "float64", 1e308) == np.inf


def test_what_it_says_and_refuses():
    certificate = certify(draw_network(0, 5, 2))
    deployed = certificate.deployed("float32", 2)
    assert deployed.bound == certificate.bound
    assert (deployed.dtype, deployed.radius, deployed.status) == ("float32", 2.0, "done")
    assert deployed == certificate.deployed(torch.float32, 2) == certificate.deployed(np.float32, 2)
    assert "in float32 for |x| <= 2" in repr(deployed)
    assert "\n" not in repr(deployed)
    local = certify(certificate.net, ball=([0.0, 0.0], 0.1)).deployed("float32", 0.1)
    assert local.bound < deployed.bound
    assert "the ball of radius 0.1" in repr(local)
    with pytest.raises(ValueError, match="dtype must be one of"):
        certificate.deployed("tf32", 1.0)
    for radius in (-1.0, np.inf, "wide"):
        with pytest.raises(ValueError, match="radius"):
            certificate.deployed("float32", radius)
    smooth = certify(Network([[[1.0]], [[1.0]]], None, "tanh"))
    with pytest.raises(ValueError, match="the rounding of tanh differs"):
        smooth.deployed("float32", 1.0)


def test_an_infinite_number_of_roundings_is_no_excuse():
    """Beyond n u = 1 gamma_n does not exist; (1 + u)^n - 1 does."""
    net = draw_deep(np.random.default_rng(0), (2, 400, 1), "relu")
    assert np.isfinite(evaluation_error(net, "bfloat16", 1.0))


@pytest.mark.parametrize("seed", range(5))
def test_the_spectral_norm_is_rounded_up(seed):
    rng = np.random.default_rng(seed)
    for shape in ((1, 1), (1, 9), (30, 4), (40, 40)):
        W = rng.normal(size=shape) * 10.0 ** rng.integers(-6, 6, (shape[0], 1))
        for scale in (1.0, 2.0**-900, 2.0**900):
            norm = float(np.linalg.norm(W, 2)) * scale
            assert norm * (1 - 1e-14) <= spectral_norm(W * scale) <= 1.05 * norm
    exact = np.diag([3.0, 4.0, 4.0])
    assert 4.0 <= spectral_norm(exact) <= 4.1
    assert spectral_norm(np.zeros((2, 3))) == 0
