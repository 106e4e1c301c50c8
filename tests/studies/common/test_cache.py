import json

import numpy as np
import pytest

from studies.common.cache import Cache

TASK = {"dataset": "servo", "trial": 3, "strength": 0.1}


def test_floats_come_back_exactly(tmp_path):
    cache = Cache(tmp_path)
    values = [0.1 + 0.2, 1e-300, 2.0**0.5, float("inf")]
    record = {"value": np.array(values), "count": np.int64(3), "nested": [{"x": np.float64(1 / 3)}]}
    given = cache.write(TASK, record)
    assert given == {"value": values, "count": 3, "nested": [{"x": 1 / 3}]}
    assert cache.read(TASK) == given
    assert [path.name for path in tmp_path.iterdir()] == [cache.path(TASK).name]


def test_the_name_depends_on_everything_but_the_order(tmp_path):
    cache = Cache(tmp_path, "v1")
    assert cache.path(TASK) == cache.path(dict(reversed(TASK.items())))
    others = [TASK | {"strength": 0.2}, TASK | {"trial": 4}, {"trial": 3}]
    paths = {cache.path(task) for task in [TASK, *others]} | {Cache(tmp_path, "v2").path(TASK)}
    assert len(paths) == 5


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-5],
        lambda content: content.replace(b"0.25", b"0.26"),
        lambda content: b"",
        lambda content: b"\xff\xfe" + content,
    ],
    ids=["cut off", "a digit", "empty", "no text"],
)
def test_a_damaged_record_is_set_aside(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.write(TASK, {"value": 0.25})
    path = cache.path(TASK)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"damaged .* set aside"):
        assert cache.read(TASK) is None
    assert [entry.name for entry in tmp_path.iterdir()] == [path.with_suffix(".corrupt").name]
    assert cache.read(TASK) is None


def test_a_record_of_another_trial_is_set_aside(tmp_path):
    cache = Cache(tmp_path)
    other = TASK | {"trial": 4}
    cache.write(other, {"value": 1})
    cache.path(other).rename(cache.path(TASK))
    with pytest.warns(UserWarning, match="another trial"):
        assert cache.read(TASK) is None


def test_a_failed_write_leaves_the_record_before(tmp_path):
    cache = Cache(tmp_path)
    cache.write(TASK, {"value": 1})
    with pytest.raises(TypeError, match="must be JSON"):
        cache.write(TASK, {"value": object()})
    assert cache.read(TASK) == {"value": 1}


@pytest.mark.parametrize("task", [{"file": object()}, {"strength": float("nan")}])
def test_a_task_is_json(tmp_path, task):
    with pytest.raises(ValueError, match="must be JSON"):
        Cache(tmp_path).read(task)


def test_the_file_is_json_after_its_checksum(tmp_path):
    cache = Cache(tmp_path)
    cache.write(TASK, {"value": 1})
    _, body = cache.path(TASK).read_text().split("\n")
    assert json.loads(body)["record"] == {"value": 1}
