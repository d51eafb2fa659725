"""Who was overlooked, and which dense spectrum a candidate is held against."""

from types import SimpleNamespace

from hyperprune.judgement.candidate import Candidate, overlooked
from hyperprune.judgement.judge import Judge, nearest_epoch
from hyperprune.testing import tiny_recipe
from hyperprune.training.outcome import EpochRecord, Failure, Outcome


def candidate(name, *losses, failure=None):
    records = tuple(
        EpochRecord(epoch, loss, loss, False, 0.0, 0, {}) for epoch, loss in enumerate(losses, 1)
    )
    return Candidate(name, {}, Outcome(name, records, failure))


EVERYBODY = SimpleNamespace(arrived=lambda outcome: True)


def test_whoever_went_out_with_a_lower_loss_than_any_finalist_came_to_is_overlooked():
    a, b, c = candidate("a", 3, 2, 1.5), candidate("b", 3, 1.4), candidate("c", 1.3, 1.6)
    assert overlooked(EVERYBODY, [a, b, c], ["a"]) is c
    assert overlooked(EVERYBODY, [a, b], ["a"]) is b
    assert overlooked(EVERYBODY, [a, b], ["a", "b"]) is None
    failed = candidate("d", 1.0, failure=Failure("diverged", "nan"))
    assert overlooked(EVERYBODY, [a, failed], ["a"]) is None
    assert overlooked(EVERYBODY, [failed, b], ["d"]) is b  # nobody has finished


def test_who_is_denser_yet_than_it_is_to_be_is_not_overlooked(tmp_path):
    """Gradual pruning passes better, denser networks on its way: half of eight epochs here."""
    settings = ("prune.initial_sparsity=0.0", "prune.stop=0.5", "train.epochs=8", "rounds.first=1")
    run = SimpleNamespace(configuration=lambda name: {})
    judge = Judge(tiny_recipe(tmp_path, *settings), run)
    done = candidate("a", 3, 2, 1.8, 1.7, 1.6, 1.6, 1.6, 1.6)
    assert not judge.arrived(candidate("b", 1, 1, 1, 1).outcome)
    assert judge.arrived(candidate("b", 1, 1, 1, 1, 1).outcome)
    assert overlooked(judge, [done, candidate("b", 1, 1, 1, 1)], ["a"]) is None
    assert overlooked(judge, [done, late := candidate("b", 1, 1, 1, 1, 1)], ["a"]) is late
    varied = Judge(tiny_recipe(tmp_path, *settings[1:], "space={initial_sparsity=[0.0, 0.2]}"), run)
    assert varied.arrived(done.outcome)
    run.configuration = {"b": {"prune.initial_sparsity": 0.2}}.get
    assert not varied.arrived(candidate("b", 1, 1, 1, 1).outcome)
    ways = [varied.arrived_by(name, 4) for name in ("b", "b-s2", "b-int8", "dense")]
    assert ways == [False, False, True, True]


def test_only_who_reached_the_budget_without_failing_has_finished():
    assert candidate("a", 3, 2).finished(2)
    assert not candidate("a", 3, 2).finished(3)
    assert not candidate("a", 3, 2, failure=Failure("raised", "x")).finished(2)


def test_the_dense_epoch_of_the_same_loss_is_the_nearest_and_earliest():
    curve = [5.0, 4.0, 3.0, 3.5, 3.0]
    assert nearest_epoch(9.0, curve) == 1
    assert nearest_epoch(3.9, curve) == 2
    assert nearest_epoch(2.0, curve) == 3
