"""The proof of an exact constant: what is found is proved, also as a file, and nothing else is."""

import copy
import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
from degenerate import KINDS, draw
from drawing import draw_network

from lipsnn import ShallowNet, certify, exact_constant
from lipsnn.certificate import ExactConstant, ProofError
from lipsnn.certificate.document import content_hash
from lipsnn.verify import main

REGIONS = {
    "everywhere": {},
    "ball": {"ball": (np.array([0.3, -0.2]), 0.8)},
    "box": {"box": (-0.7, 0.9)},
    "polytope": {"polytope": (np.array([[1.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), np.ones(3))},
}


@pytest.mark.parametrize("where", REGIONS)
def test_what_is_found_is_proved(where):
    fixed = empty = 0
    for seed in range(4):
        net = draw_network(seed, 14, 2)
        found = exact_constant(net, gap=1e-6, proof=True, **REGIONS[where])
        assert found.upper <= found.verify() <= found.upper * (1 + 1e-9)
        again = ExactConstant.from_json(found.to_json())
        assert again.verify() == found.verify()
        assert (again.lower, again.status, again.nodes) == (found.lower, "optimal", found.nodes)
        fixed += sum(len(entry.get("fixed", [])) for entry in found.tree)
        empty += sum("empty" in entry for entry in found.tree)
    assert fixed  # else the proof has not been asked for all that it can do
    assert empty or where != "ball"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "parallel units"])
def test_networks_at_the_edge(kind):
    rng = np.random.default_rng(5)
    for _ in range(4):
        net = draw(rng, kind, rng.integers(1, 13), rng.integers(1, 4))
        found = exact_constant(net, gap=1e-6, proof=True)
        assert found.verify() <= found.upper * (1 + 1e-9)


@pytest.mark.parametrize("where", ["box", "polytope"])
def test_a_part_outside_of_the_region_is_proved_empty(where):
    """What the region implies of a unit, cut at that unit instead: its other part is empty."""
    rejected = 0
    for seed in range(4):
        net = draw_network(seed, 14, 2)
        found = exact_constant(net, gap=1e-6, proof=True, **REGIONS[where])
        upper, (root, *rest) = found.verify(), found.tree
        for unit, side, rows in root["fixed"]:
            others = [entry for entry in root["fixed"] if entry[0] != unit]
            inside, outside = [{**root, "fixed": others}, *rest], [{"empty": rows}]
            parts = inside + outside if side > 0 else outside + inside
            cut = replace(found, tree=[{"fixed": [], "cut": unit}, *parts])
            if any(unit in reasons for _, _, reasons in others):
                continue  # another unit's side follows from this one's
            assert cut.verify() == upper
            # without one of its reasons, or in a region that is larger, the part is not empty
            for reason in rows:
                fewer = [{"empty": [row for row in rows if row != reason]}]
                wrong = inside + fewer if side > 0 else fewer + inside
                short = replace(found, tree=[{"fixed": [], "cut": unit}, *wrong])
                with pytest.raises(ProofError):
                    short.verify()
            wide = replace(cut, region=wider(found.region))
            with pytest.raises(ProofError):
                wide.verify()
            rejected += 1
    assert rejected


def wider(region):
    """A region of the same kind in which every unit switches."""
    if hasattr(region, "low"):
        return replace(region, low=region.low - 1e6, high=region.high + 1e6)
    return replace(region, b=region.b + 1e6)


def test_a_search_that_was_stopped_is_proved_as_far_as_it_came():
    found = exact_constant(draw_network(1, 60, 8), proof=True, time_limit=0.3)
    assert found.status == "time_limit"
    assert found.verify() <= found.upper * (1 + 1e-9)


def spoiled(content):
    """Documents that claim more than they prove, with hashes that fit."""
    changes = {
        "upper too low": lambda c: c.update(upper=c["lower"] * 0.999),
        "lower too high": lambda c: c.update(lower=c["upper"], upper=2 * c["upper"]),
        "witness on a hyperplane": lambda c: c.update(witness=[0.0] * len(c["witness"])),
        "one part less": lambda c: c["tree"].pop(),
        "one part more": lambda c: c["tree"].append(c["tree"][-1]),
        "empty without a reason": lambda c: c.update(tree=[{"empty": []}]),
        "empty by a row": lambda c: c.update(tree=[{"empty": [14]}]),
        "a leaf with another P": lambda c: leaf(c).update(P=[1.0, 0.0, 0.0]),
        "a leaf without P": lambda c: leaf(c).pop("P"),
        "P that is no number": lambda c: leaf(c).update(P=[None, 0.0, 1.0]),
        "P that is too large": lambda c: leaf(c).update(P=[10**400, 0.0, 1.0]),
        "an entry that is none": lambda c: c["tree"].__setitem__(0, 7),
        "fixed without a reason": lambda c: c["tree"][0].update(fixed=[[0, 1, [0]]]),
        "fixed twice": lambda c: c["tree"][0].update(fixed=[[0, 1, [0, 0]]]),
        "cut at no unit": lambda c: c["tree"][0].update(cut=14),
        "another side": lambda c: implied(c).__setitem__(1, -implied(c)[1]),
        "no side": lambda c: implied(c).__setitem__(1, 0),
        "another gap": lambda c: c.update(upper=2 * c["upper"]),
        "a tolerance that is none": lambda c: c.update(tol=1.0, upper=2 * c["upper"]),
        "not the end of a search": lambda c: c.update(status="done"),
        "no nodes": lambda c: c.update(nodes=0),
        "time that ran backwards": lambda c: c.update(seconds=-1.0),
        "other rows": lambda c: implied(c).__setitem__(2, implied(c)[2][:-1]),
    }
    for name, change in changes.items():
        changed = copy.deepcopy(content)
        change(changed)
        changed["sha256"] = content_hash(changed)
        yield name, changed


def leaf(content):
    return next(entry for entry in content["tree"] if "P" in entry)


def implied(content):
    return next(entry["fixed"][0] for entry in content["tree"] if entry.get("fixed"))


def test_what_was_spoiled_is_rejected(tmp_path, capsys):
    net = draw_network(3, 14, 2)
    on_origin = np.ones((14, 3))
    on_origin[0, -1] = 0.0
    net = ShallowNet(net.weights * on_origin, net.outer)
    path = tmp_path / "constant.json"
    found = exact_constant(net, gap=1e-6, proof=True)
    found.to_json(path)
    assert main([str(path)]) == 0
    said = capsys.readouterr().out
    assert f"{found.verify()!r} |x - x'| for a network of 14 units" in said
    assert f"a slope there is at least {found.lower!r}" in said
    for name, changed in spoiled(json.loads(path.read_text())):
        path.write_text(json.dumps(changed))
        with pytest.raises(ProofError):
            ExactConstant.from_json(path).verify()
        assert main([str(path)]) == 1, name
        assert capsys.readouterr().err.startswith("rejected: "), name


def test_without_a_tree_there_is_no_proof():
    found = exact_constant(draw_network(0, 5, 2))
    with pytest.raises(ProofError, match="proof=True"):
        found.verify()
    with pytest.raises(ValueError, match="proof=True"):
        found.to_json()
    kept = exact_constant(draw_network(0, 5, 2), proof=True)
    with pytest.raises(ProofError, match="was changed"):
        ExactConstant.from_json(kept.to_json().replace('"nodes": ', '"nodes": 1'))
    with pytest.raises(ProofError, match="beside the certificate"):
        ExactConstant.from_json(kept.to_json(network=False))


def test_a_witness_of_no_slope_has_to_be_in_the_region():
    found = exact_constant(draw_network(0, 5, 2), ball=REGIONS["ball"]["ball"], proof=True, gap=0.9)
    outside = dataclasses.replace(found, lower=0.0, status="inaccurate", witness=np.full(2, 9.0))
    with pytest.raises(ProofError, match="not in the region"):
        outside.verify()


def test_a_region_that_is_far_from_where_units_switch():
    rng = np.random.default_rng(0)
    for size in (1e3, 1e9, 1e15):
        net = ShallowNet(
            np.column_stack([size * rng.normal(size=(5, 2)), rng.normal(size=5)]), np.ones(5)
        )
        for region in ({"ball": ([1.5, 0.3], 0.5)}, {"box": ([1.0, -0.2], [2.0, 0.8])}):
            found = exact_constant(net, proof=True, **region)
            assert found.lower <= certify(net, **region).bound * (1 + 1e-9)
            assert found.lower > 0.9 * found.upper
            assert found.verify() <= found.upper * (1 + 1e-9)
