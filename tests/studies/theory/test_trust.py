import matplotlib as mpl

from studies.theory import trust

mpl.use("Agg")


def test_only_what_has_to_be_right_and_the_conversion_stand_between_network_and_bound():
    figure = trust.trust_model()
    (ax,) = figure.axes
    written = [text.get_text() for text in ax.texts]
    assert all(step.title in written for step in trust.STEPS.values())
    assert list(trust.STEPS) == trust.ROAD
    colors = {name: step.color for name, step in trust.STEPS.items()}
    assert [name for name, color in colors.items() if color == trust.TRUSTED] == ["verify"]
    assert {name for name, color in colors.items() if color == trust.FREE} == {
        "solver",
        "multipliers",
    }
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == list(trust.MEANING.values())
    assert set(colors.values()) == set(trust.MEANING)
