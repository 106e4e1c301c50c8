import pandas as pd
import pytest

from studies.meeting import study as meeting


@pytest.mark.parametrize("method", list(meeting.SETTINGS))
def test_every_system_trains_the_same_network(method):
    (*_, task) = meeting.tasks(("servo",), 1, width=6, epochs=5, rounds=2, methods=(method,))
    value = meeting.run(task)
    assert value["bound"] > 0
    assert value["test"] <= value["test_0.1"] <= value["test_0.4"]
    assert value["train"] == pytest.approx(2 * value["loss"] / 150, rel=0.01)


def test_who_does_not_know_the_strength_is_shown_at_its_best():
    rows = pd.DataFrame(
        {
            "dataset": "servo",
            "method": ["weight decay", "weight decay", "joint", "joint"],
            "setting": [0.1, 10.0, 0.1, 1.0],
            "loss": [1.0, 2.0, 1.0, 3.0],
            "bound": [3.0, 1.0, 3.0, 1.0],
        }
    )
    picked = meeting.at_strength(rows, 1.0)
    assert picked[["method", "setting", "objective"]].to_numpy().tolist() == [
        ["weight decay", 10.0, 3.0],
        ["joint", 1.0, 4.0],
    ]
