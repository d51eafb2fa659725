"""`train.precision = "auto"`: decided once, from the processor and a few timed steps, and written down."""

import json
import math

import pytest

import hyperprune
from hyperprune import events
from hyperprune.errors import RecipeError, Stopped
from hyperprune.plan import settle as door
from hyperprune.recipe import load_recipe
from hyperprune.testing.tiny import tiny_recipe, tiny_text
from hyperprune.training import precision
from hyperprune.training.build import build_trainer, load_task

AUTO = "train.precision=auto"


@pytest.fixture
def recipe(tmp_path):
    return tiny_recipe(tiny_text(tmp_path / "text"), AUTO)


@pytest.mark.parametrize(
    ("gain", "chosen"), [(1.7, "bfloat16"), (1.1, "bfloat16"), (1.09, "float32"), (0.6, "float32")]
)
def test_bfloat16_must_gain_more_than_noise(recipe, monkeypatch, gain, chosen):
    monkeypatch.setattr(precision, "native", lambda device: True)
    monkeypatch.setattr(precision, "speed_up", lambda recipe, task: gain)
    found = precision.choose(recipe, None)
    assert found.precision == chosen
    assert f"{gain:.2f} times" in found.because


def test_without_bfloat16_in_hardware_nothing_is_timed(recipe, monkeypatch):
    monkeypatch.setattr(precision, "native", lambda device: False)
    monkeypatch.setattr(precision, "speed_up", lambda *_: pytest.fail("timed"))
    assert precision.choose(recipe, None).precision == "float32"


def test_steps_of_both_are_timed(recipe):
    gain = precision.speed_up(recipe, load_task(recipe))
    assert math.isfinite(gain)
    assert gain > 0


def test_a_run_writes_down_what_was_decided_and_resuming_asks_no_more(
    recipe, tmp_path, monkeypatch
):
    half = precision.Choice("bfloat16", "it is said so here")
    monkeypatch.setattr(door, "choose", lambda recipe, task: half)
    told = []

    def stop(event):
        told.append(event)
        if isinstance(event, events.EpochFinished):
            raise Stopped("stopped")

    with pytest.raises(Stopped):
        hyperprune.run(recipe, folder=tmp_path / "run", observers=[stop])
    assert events.Notice("train.precision is bfloat16: it is said so here") in told
    made = json.loads((tmp_path / "run" / "run.json").read_text())
    assert made["recipe"]["train"]["precision"] == "bfloat16"
    assert load_recipe(tmp_path / "run" / "recipe.toml").train.precision == "bfloat16"
    monkeypatch.setattr(door, "choose", lambda *_: pytest.fail("asked again"))
    hyperprune.resume(tmp_path / "run")


def test_only_a_run_settles_it(recipe):
    with pytest.raises(RecipeError, match=r"train\.precision: found 'auto'"):
        build_trainer(recipe, load_task(recipe), sparse=True)
