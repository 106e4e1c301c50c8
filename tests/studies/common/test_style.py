import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgb

from studies.common import style

mpl.use("Agg")


def luminance(color):
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


def contrast(one, two):
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("color", [style.INK, *style.COLORS.values(), *style._OTHERS])
@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
def test_every_colour_reads_on_light_and_on_dark(color, page):
    assert contrast(color, page) >= 3.0  # WCAG's threshold for graphics and large text


def test_house_style_is_transparent():
    style.use_house_style()
    figure, _ = style.axes_of(None)
    assert figure.get_facecolor()[3] == 0
    assert mpl.rcParams["svg.hashsalt"] == "lipsnn"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (28.663749, "28.66"),
        (150.0, "150"),
        (0.067630, "0.06763"),
        (12345.6, "12346"),
        (8.023866e-10, "8.0e-10"),
        (-1.5e7, "-1.5e+07"),
    ],
)
def test_numbers_of_tables_are_rounded_to_what_matters(value, shown):
    assert style.number(value) == shown
