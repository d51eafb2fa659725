import io

from scripted import HOSTILE, Clock, stream

from hyperprune import events
from hyperprune.ui.board import Board
from hyperprune.ui.plain import PlainLines


def lines(stream):
    output = io.StringIO()
    with PlainLines(output, Board(Clock())) as view:
        for event in stream:
            view(event)
    return output.getvalue().splitlines()


def test_a_line_an_event_and_none_for_steps():
    told = [event for event in stream() if not isinstance(event, events.StepFinished)]
    written = lines(stream())
    assert len(written) == len(told)
    assert written[0] == (
        "     0 s  run       tiny in runs/tiny: 3 candidates, 10 epochs (full training 12), "
        "dense reference 4"
    )
    assert "     0 s  c000      init=er, removal_rate=0.5" in written
    assert "     0 s  dense     epoch 1/4: validation perplexity 99.00, training 89.58" in written
    assert "     0 s  c001      failed in epoch 2: the loss is nan" in written
    assert (
        "     0 s  c002      epoch 2/2: validation perplexity 95.00, training 85.96, "
        "meets the dense target 96.00"
    ) in written
    assert (
        "     0 s  c002      epoch 2: LS distance 0.2500 ±0.0250 (noise 0.1250), largest exponent -0.05"
    ) in written
    assert written[-1] == "     0 s  done      the run is in runs/tiny"


def test_no_name_breaks_a_line_or_colours_it():
    hostile = [
        *stream(title=HOSTILE, setting=HOSTILE, cause=HOSTILE),
        events.Notice(HOSTILE),
        events.RoundFinished(1, (HOSTILE,), (HOSTILE,)),
        events.StageStarted(HOSTILE, 1),
        events.CandidateFailed(HOSTILE, 1, HOSTILE),
    ]
    steps = sum(isinstance(event, events.StepFinished) for event in hostile)
    written = lines(hostile)
    assert len(written) == len(hostile) - steps
    assert all(line.isprintable() for line in written)


def test_a_reader_that_goes_away_does_not_stop_the_run():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    view = PlainLines(Closed())
    for event in stream():
        view(event)
    assert view.board.result == {"winner": "c002"}
