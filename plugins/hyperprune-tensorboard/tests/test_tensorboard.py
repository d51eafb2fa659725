import math

import pytest
from hyperprune_tensorboard import facts, tensorboard
from tensorboardX.proto.event_pb2 import Event

from hyperprune import events
from hyperprune.task import PERPLEXITY, Metric
from hyperprune.testing import check, check_in_run, contributions


@pytest.mark.parametrize("item", contributions("hyperprune-tensorboard"), ids=str)
def test_contract(item):
    check(item)
    check_in_run(item)


def scalars(folder):
    """Read event files: records of an 8-byte length, a 4-byte checksum, the data, a checksum."""
    found = {}
    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + size])
            at += 12 + size + 4
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found[value.tag, event.step] = value.simple_value
    return found


def test_what_is_written_is_what_was_measured(tmp_path):
    observe = tensorboard(tmp_path)
    observe(events.EpochFinished("c000", 1, 2.5, 2.25, False))
    observe(events.SpectrumMeasured("c000", 1, 2.25, 0.5, 0.1, 0.2, -0.125, 0))
    found = scalars(tmp_path / "tensorboard" / "c000")  # before the run has ended
    observe(events.RunFinished(str(tmp_path), {}))
    assert found["loss/train", 1] == 2.5
    assert found["loss/valid", 1] == 2.25
    assert found["spectrum/distance", 1] == 0.5
    assert found["spectrum/largest_exponent", 1] == -0.125
    assert found["perplexity/valid", 1] == pytest.approx(math.exp(2.25))


def test_another_task_is_told_in_its_metric(tmp_path):
    accuracy = Metric("accuracy", "accuracies", of="complement")
    observe = tensorboard(tmp_path)
    observe(events.RunStarted(str(tmp_path), None, False, metric=accuracy))
    event = events.SpectrumMeasured("c000", 1, 2.25, 0.5, 0.1, 0.2, -0.125, 0, valid_cost=0.25)
    observe(event)
    found = scalars(tmp_path / "tensorboard" / "c000")
    assert found["accuracy/valid", 1] == 0.75
    assert ("perplexity/valid", 1) not in found


def test_the_dense_reference_has_no_distance():
    measured = events.SpectrumMeasured("dense", 1, 2.25, None, None, None, -0.125, 0)
    told = facts(measured, PERPLEXITY)
    assert "spectrum/distance" not in told[2]


def test_an_epoch_without_a_spectrum_has_its_losses(tmp_path):
    observe = tensorboard(tmp_path)
    observe(events.SpectrumMeasured("c000", 1, 2.25, None, None, None, None, 0))
    found = scalars(tmp_path / "tensorboard" / "c000")
    assert sorted(name for name, _ in found) == ["loss/valid", "perplexity/valid"]


def test_a_real_run_leaves_a_curve_for_every_candidate(tiny_run, tmp_path):
    result = tiny_run(observers=[tensorboard(tmp_path / "logs")])
    for candidate in ("dense", *(item.name for item in result.candidates)):
        assert ("loss/valid", 1) in scalars(tmp_path / "logs" / "tensorboard" / candidate)
