"""Who was overlooked, and which dense spectrum a candidate is held against."""

from hyperprune.judgement.candidate import Candidate, overlooked
from hyperprune.judgement.judge import nearest_epoch
from hyperprune.training.outcome import EpochRecord, Failure, Outcome


def candidate(name, *losses, failure=None):
    records = tuple(
        EpochRecord(epoch, loss, loss, False, 0.0, 0, {}) for epoch, loss in enumerate(losses, 1)
    )
    return Candidate(name, {}, Outcome(name, records, failure))


def test_whoever_went_out_with_a_lower_loss_than_any_finalist_came_to_is_overlooked():
    a, b, c = candidate("a", 3, 2, 1.5), candidate("b", 3, 1.4), candidate("c", 1.3, 1.6)
    assert overlooked([a, b, c], ["a"]) is c
    assert overlooked([a, b], ["a"]) is b
    assert overlooked([a, b], ["a", "b"]) is None
    failed = candidate("d", 1.0, failure=Failure("diverged", "nan"))
    assert overlooked([a, failed], ["a"]) is None
    assert overlooked([failed, b], ["d"]) is b  # nobody has finished


def test_only_who_reached_the_budget_without_failing_has_finished():
    assert candidate("a", 3, 2).finished(2)
    assert not candidate("a", 3, 2).finished(3)
    assert not candidate("a", 3, 2, failure=Failure("raised", "x")).finished(2)


def test_the_dense_epoch_of_the_same_loss_is_the_nearest_and_earliest():
    curve = [5.0, 4.0, 3.0, 3.5, 3.0]
    assert nearest_epoch(9.0, curve) == 1
    assert nearest_epoch(3.9, curve) == 2
    assert nearest_epoch(2.0, curve) == 3
