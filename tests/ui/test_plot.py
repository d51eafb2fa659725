import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune.ui.plot import Series, plot
from hyperprune.ui.spectra import ranks

NUMBERS = st.floats(-1e6, 1e6)


def test_a_falling_line_in_braille():
    # 16 × 12 dots, two columns and four rows of them a character: dot row = round(x · 11/15)
    drawn = plot([Series("line", [3.0, 2.0, 1.0, 0.0], "")], 11, 5).plain.splitlines()
    assert drawn == [
        " 3│⠑⠢⡀     ",
        "  │  ⠈⠑⢄⡀  ",
        " 0│     ⠈⠢⢄",
        "  └────────",
        "   1      4",
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(NUMBERS, min_size=1, max_size=80), min_size=1, max_size=3),
    st.integers(10, 150),
    st.integers(4, 30),
)
def test_any_series_fits_its_frame(values, width, height):
    drawn = plot([Series("any", item, "red") for item in values], width, height)
    lines = drawn.plain.splitlines()
    assert len(lines) == max(3, height - 2) + 2
    body = lines[:-2]
    assert len({len(line) for line in body}) == 1
    for item, column in ((max, 0), (min, -1)):
        extreme = item(value for series in values for value in series)
        label = f"{extreme:.3g}"
        low, high = (f(v for s in values for v in s) for f in (min, max))
        if low != high:
            assert body[column].lstrip().startswith(f"{label}│")
    assert any(0x2801 <= ord(c) <= 0x28FF for line in body for c in line)


@pytest.mark.parametrize("values", [[], [[]]])
def test_nothing_to_plot(values):
    assert plot([Series("none", item, "") for item in values], 40, 10).plain == "nothing to plot"


@given(st.integers(1, 5000))
def test_ranks_shown_are_spread_from_first_to_last(count):
    shown = ranks(count, 12)
    assert shown[0] == 0
    assert shown[-1] == count - 1
    assert shown == sorted(set(shown))
    assert len(shown) == min(count, 12)
