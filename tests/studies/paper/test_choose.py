"""The rule for strengths and penalty, on made-up validation errors."""

from studies.paper import choose
from studies.paper.settings import load_settings


def made_up(tasks, function):
    """Lipschitz error falls with the strength for "servo" and has its least at 1 for "machine"."""
    problem = "l2" if function is choose.try_l2 else "lipschitz"
    results = []
    for task in tasks:
        rows = []
        for strength in task["strengths"]:
            inner = task["dataset"] == "machine" or problem == "l2"
            error = abs(strength - 1.0) if inner else 1.0 / strength
            for penalty in task["penalties"] if problem == "lipschitz" else [float("nan")]:
                value = 0.0 if penalty == task["penalties"][1] else 1.0
                row = {"dataset": task["dataset"], "trial": task["trial"], "problem": problem}
                row |= {"strength": strength, "penalty": penalty}
                # the penalty is chosen by the objective, against the validation error
                rows.append(row | {"objective": value, "validation": error + 10 * (1 - value)})
        results.append({"rows": rows})
    return results


def test_the_rule_and_what_lies_beyond_its_grid():
    settings = load_settings("full") | {"datasets": ["servo", "machine"]}
    largest, tried = max(settings["choice"]["strengths"]), settings["choice"]["penalties"][1]
    choice, table = choose.choose(settings, made_up)
    assert choice["servo"] == {"l2": 1.0, "lipschitz": largest, "penalty": tried}
    assert choice["machine"] == {"l2": 1.0, "lipschitz": 1.0, "penalty": tried}
    beyond = table[table["strength"] > largest]
    assert set(beyond["dataset"]) == {"servo"}
    assert set(beyond["strength"]) == {10 * largest}
    assert len(beyond) == settings["choice"]["trials"] * len(settings["choice"]["penalties"])
