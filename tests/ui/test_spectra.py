"""A spectrum on the screen: resolved exponents, lost ones as a count, and what a comparison rests on."""

import json
import math
from dataclasses import replace

import torch

from hyperprune.testing import tiny_spectrum
from hyperprune.ui.spectra import as_json, spectrum_view


def spectrum(rows, layers=(0, 0, 1)):
    like = replace(
        tiny_spectrum(0, layers=(1,)),
        per_sequence=torch.tensor(rows, dtype=torch.float64),
        layers=torch.tensor(layers),
        drift=torch.zeros(len(layers), dtype=torch.float64),
    )
    return like.select(torch.arange(len(rows)))


# layer 0 loses a direction in both sequences, layer 1 one in the first alone
LOST = spectrum([[-1.0, -25.0, -9.0], [-1.0, -14.0, -2.0]])


def test_lost_directions_are_counted_and_not_printed(rendered):
    text = rendered(spectrum_view(LOST, 100), 100)
    assert "1.5 of 3 directions lost below -8: layer 0 1, layer 1 0.5" in text
    assert "-19.5" not in text  # the mean of what was put in a lost direction's place
    lines = [line.split() for line in text.splitlines()]
    assert ["0", "2/2", "lost"] in lines
    assert any(line[:3] == ["1", "1/1", "-5.0000"] for line in lines)


def test_a_whole_spectrum_says_so(rendered):
    text = rendered(spectrum_view(spectrum([[-1.0, -2.0, -3.0]] * 2), 100), 100)
    assert "none (resolution -8)" in text
    raw = rendered(spectrum_view(LOST.raw(), 100), 100)
    assert "every exponent is taken at its word" in raw


def test_a_comparison_that_rests_on_few_exponents_is_told_in_words(rendered):
    many = [float(-rank) / 10 for rank in range(20)]
    layers = (0,) * 20
    reference = spectrum([many, many], layers)
    moved = spectrum([[*many[:-1], -4.0]] * 2, layers)
    text = rendered(spectrum_view(moved, 120, reference=reference), 120)
    assert "nine tenths of its square rest on 1 of 20 exponents" in text
    shifted = spectrum([[value - 0.1 for value in many]] * 2, layers)
    text = rendered(spectrum_view(shifted, 120, reference=reference), 120)
    assert "rest on 18 of 20 exponents" in text


def test_json_has_raw_exponents_and_the_counts():
    told = as_json(LOST)
    assert min(told["exponents"]) == -19.5
    assert told["lost"] == [[1, 1], [1, 0]]
    assert told["resolution"] == -8.0
    assert as_json(LOST.raw())["resolution"] is None


def test_json_has_no_number_for_what_is_not_known():
    """One sequence has no standard error, one step no halves that could drift."""
    one = spectrum([[-1.0, -2.0, -3.0]])
    told = as_json(replace(one, drift=torch.full((3,), math.nan, dtype=torch.float64)))
    assert told["drift"] == told["standard_error"] == [None] * 3
    json.dumps(told, allow_nan=False)
