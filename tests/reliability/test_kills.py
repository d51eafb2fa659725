"""A run that is killed at any moment goes on to the same bits."""

import random
import signal

import pytest
from sittings import contents, epochs_trained_twice


def killed_run(zygote, folder, recipe, draw, longest):
    """Carry a run out in sittings that live for up to `longest` seconds; how many were killed."""
    kills = 0
    while True:
        end = zygote.sit(folder, recipe, kill_after=draw.uniform(0, longest))
        if end.signal is None:
            assert end.code == 0, end.message
            return kills
        assert end.signal == signal.SIGKILL
        kills += 1
        longest *= 1.02  # a machine that has become slow gets there too


def died_run(zygote, folder, recipe, draw, most):
    """Carry a run out in sittings that die at one of their first `most` writes; how many died."""
    deaths = 0
    while True:
        fault = {"kind": "die", "n": draw.randint(1, int(most))}
        end = zygote.sit(folder, recipe, fault=fault)
        if end.signal is None:
            assert end.code == 0, end.message
            return deaths
        deaths += 1
        most *= 1.1  # a run that is far on says more before it does more


def test_a_run_killed_again_and_again_ends_with_the_same_bits(
    zygote, session_recipe, undisturbed, fresh_cache, tmp_path, tally
):
    folder, longest = tmp_path / "run", undisturbed.seconds / 2
    kills = killed_run(zygote, folder, session_recipe, random.Random(1), longest)
    tally["kills at random moments"] += kills
    assert kills
    assert epochs_trained_twice(folder) == []
    assert contents(folder) == undisturbed.contents


def test_a_run_that_dies_in_the_middle_of_writes_ends_with_the_same_bits(
    zygote, session_recipe, undisturbed, fresh_cache, tmp_path, tally
):
    deaths = died_run(zygote, tmp_path / "run", session_recipe, random.Random(2), 80)
    tally["deaths within a write"] += deaths
    assert deaths
    assert contents(tmp_path / "run") == undisturbed.contents


@pytest.mark.parametrize(
    ("number", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1)]
)
def test_asked_to_stop_a_run_says_how_to_go_on(
    zygote, session_recipe, undisturbed, fresh_cache, tmp_path, tally, number, times
):
    folder = tmp_path / "run"
    moment = str(folder / "dense" / "spectra")
    end = zygote.sit(folder, session_recipe, kill_at=moment, signal=number, times=times)
    assert end.code == 130, end.message
    assert end.message.startswith("stopped")
    assert f"hyperprune resume {folder}" in end.message
    end = zygote.sit(folder)
    assert end.code == 0, end.message
    tally["stops by signal"] += 1
    assert contents(folder) == undisturbed.contents


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(16))
def test_kills_again_and_again(
    zygote, session_recipe, undisturbed, fresh_cache, tmp_path, tally, seed
):
    folder, draw = tmp_path / "run", random.Random(seed)
    if seed % 2:
        longest = undisturbed.seconds / draw.uniform(1.5, 4)
        kills = killed_run(zygote, folder, session_recipe, draw, longest)
        tally["kills at random moments"] += kills
    else:
        tally["deaths within a write"] += died_run(zygote, folder, session_recipe, draw, 40)
    assert epochs_trained_twice(folder) == []
    assert contents(folder) == undisturbed.contents
