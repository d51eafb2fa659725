"""Seconds by part, on a clock that a test moves."""

from hyperprune.runtime.clock import Clock, part


class Hand:
    def __init__(self):
        self.now = 10.0

    def __call__(self):
        return self.now

    def pass_by(self, seconds):
        self.now += seconds


def test_a_second_counts_for_the_innermost_part():
    """1 s before, masking for 2 + 4 s around 8 s of the optimiser, 16 s after: 31 s in all."""
    hand = Hand()
    clock = Clock(now=hand)
    hand.pass_by(1)
    with clock.part("masking"):
        hand.pass_by(2)
        with part(clock, "optimiser"):
            hand.pass_by(8)
        hand.pass_by(4)
    hand.pass_by(16)
    assert clock.take() == {"other": 17, "masking": 6, "optimiser": 8}
    hand.pass_by(3)
    assert clock.take() == {"other": 3}


def test_a_part_that_raises_has_ended():
    hand = Hand()
    clock = Clock(now=hand)
    try:
        with clock.part("forward"):
            hand.pass_by(1)
            raise ValueError
    except ValueError:
        hand.pass_by(2)
    assert clock.take() == {"other": 2, "forward": 1}


def test_a_device_is_waited_for_before_its_time_is_counted():
    """What was asked for in `forward` takes 5 s more, which count there and not for what follows."""
    hand, left = Hand(), [5.0]

    def settle():
        hand.pass_by(left.pop() if left else 0.0)

    clock = Clock(now=hand)
    clock.settle = settle
    clock.enter("forward")  # at 15: the 5 s lie before it
    left.append(5.0)
    clock.leave()
    assert clock.take() == {"other": 5, "forward": 5}


def test_without_a_clock_nothing_is_counted():
    with part(None, "forward"):
        pass
