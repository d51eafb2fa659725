"""A plugin of every kind that does, at one of its calls, what no plugin should do; else what ships does.

`python` never imports it by itself: `installed` puts one into the registry, as an installed package would.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time

NAME, PACKAGE = "strange", "stranger"

INSTEAD = {
    "model": ("stacked_lstm", {"hidden": 8, "layers": 1, "dropout": 0.1, "init_range": 0.3}),
    "corpus": ("text", {}),
    "init": ("uniform", {}),
    "removal": ("magnitude", {}),
    "growth": ("random", {}),
    "redistribution": ("magnitude", {}),
    "schedule": ("cosine", {}),
    "preset": ("rigl", {}),
    "distance": ("l2", {}),
    "objective": ("both", {}),
    "searcher": ("random", {}),
    "executor": ("local", {}),
    "observer": None,
}
"""What each kind does where it does nothing strange."""
PLACES = {
    "model": "model.name",
    "corpus": "data.corpus",
    "distance": "spectrum.distance",
    "objective": "search.objective",
    "searcher": "search.searcher",
    "executor": "search.executor",
}
"""Keys under which a recipe names a kind; all others are of `[prune]`."""


class Odd(BaseException):
    """An exception of a stranger's own, which cannot even be shown."""

    def __str__(self):
        raise RuntimeError("no words")


class OddInterrupt(KeyboardInterrupt):
    """An interrupt that no person sent."""


def errors():
    from hyperprune.errors import CorpusError, RecipeError, RunError, SpectrumError, Stopped

    return {
        "ValueError": ValueError("odd"),
        "SystemExit": SystemExit(3),
        "KeyboardInterrupt": OddInterrupt(),
        "Odd": Odd(),
        "GeneratorExit": GeneratorExit(),
        "StopIteration": StopIteration(),
        "MemoryError": MemoryError("odd"),
        "OSError": OSError(28, "No space left on device"),
        "Stopped": Stopped("odd"),
        "RunError": RunError("odd"),
        "RecipeError": RecipeError(["odd"]),
        "CorpusError": CorpusError("odd"),
        "SpectrumError": SpectrumError("odd"),
        "group": BaseExceptionGroup("odd", [ValueError(1), SystemExit(2)]),
    }


def answers():
    import torch

    return {
        "None": None,
        "nan": float("nan"),
        "negative": -1.0,
        "huge": 10**400,
        "text": "\x1b[2Jodd",
        "list": [1, "a", None],
        "dict": {"a": object()},
        "object": object(),
        "class": Odd,
        "tensor": torch.full((3, 2), torch.nan),
        "empty": torch.zeros(0),
        "complex": torch.zeros(2, 2, dtype=torch.complex64),
        "module": torch.nn.Linear(1, 1),
        "generator": (x for x in range(3)),
    }


def behaviours():
    """Names of all that a stranger can do."""
    raised = [f"raise {name}" for name in errors()]
    returned = [f"return {name}" for name in answers()]
    return [*raised, *returned, "exit", "hang", "hang on", "print"]


def act(what):
    """Do something strange; the answer is (whether it is one, the answer)."""
    verb, _, noun = what.partition(" ")
    if verb == "raise":
        raise errors()[noun]
    if verb == "return":
        return True, answers()[noun]
    if what == "exit":
        os._exit(3)
    if what == "print":
        print("odd words")
        sys.stdout.flush()
        os.write(1, b"more of them\n")
    while what == "hang":
        time.sleep(0.01)
    while what == "hang on":
        with contextlib.suppress(BaseException):
            time.sleep(0.01)
    return False, None


def stranger(kind, what, when):
    """A callable of a kind that is strange from its call number `when` on."""
    from hyperprune.plugins import registry

    usual = None
    if INSTEAD[kind] is not None:
        name, options = INSTEAD[kind]
        usual = registry().bind(kind, name, options)
    calls = 0

    def strange(*given):
        """What a stranger does."""
        nonlocal calls
        calls += 1
        if calls > when:
            odd, answer = act(what)
            if odd:
                return answer
        return usual(*given) if usual else (lambda event: None)

    def observer(folder):
        """What a stranger does with events."""
        return lambda event: strange(event)

    def network(vocabulary):
        """What a stranger trains."""
        built = strange(vocabulary) if when == 0 else usual(vocabulary)
        if when:  # strange in its steps
            forward = built.forward

            def odd(*given):
                nonlocal calls
                calls += 1
                strange_, answer = act(what) if calls > 4 * when else (False, None)
                return answer if strange_ else forward(*given)

            built.forward = odd
        return built

    def elsewhere(crew):
        """What a stranger has train."""
        made = strange(crew) if when == 0 else usual(crew)
        if when:  # strange when it is waited for
            wait = made.wait

            def odd(handle):
                nonlocal calls
                calls += 1
                strange_, answer = act(what) if calls > when else (False, None)
                return answer if strange_ else wait(handle)

            made.wait = odd
        return made

    chosen = {"observer": observer, "model": network, "executor": elsewhere}.get(kind)
    chosen = chosen or globals()[f"of_{kind}" if f"of_{kind}" in globals() else "of_one"](strange)
    chosen.__dict__.update(vars(getattr(usual, "func", strange)))
    chosen.__name__ = NAME
    chosen.__doc__ = "What a stranger does."
    return chosen


def of_one(strange):
    return lambda view: strange(view)


def of_corpus(strange):
    return lambda root: strange(root)


def of_schedule(strange):
    return lambda progress, start: strange(progress, start)


def of_preset(strange):
    return lambda: strange()


def of_distance(strange):
    return lambda candidate, reference: strange(candidate, reference)


def of_searcher(strange):
    return lambda space, history, pending, seed: strange(space, history, pending, seed)


@contextlib.contextmanager
def installed(chosen):
    """Register a stranger {kind, what, when} for the block; answers with observers to be told."""
    if chosen is None:
        yield []
        return
    from hyperprune.corpus.load import _load_corpus
    from hyperprune.plugins import Contribution, registry
    from hyperprune.runtime import patience

    patience.GRACE = 0.5  # this process is a sitting's own
    kind = chosen["kind"]
    made = stranger(kind, chosen["what"], chosen["when"])
    contribution = Contribution(kind, NAME, made, PACKAGE, "1")
    registry().contributions[kind, NAME] = contribution
    _load_corpus.cache_clear()
    try:
        if kind == "observer":
            from hyperprune.ui.plain import PlainLines
            from hyperprune.ui.watch import PluginObserver

            yield [PluginObserver(NAME, PlainLines(sys.stderr))]
        else:
            yield []
    finally:
        del registry().contributions[kind, NAME]


def drawn(seed):
    """One stranger, of any kind and behaviour; strange at once, or after some calls."""
    draw = random.Random(seed)
    kind = draw.choice(list(INSTEAD))
    able = [what for what in behaviours() if kind != "executor" or "hang" not in what]
    # An executor waits for trainings, as long as they take: only its making has a limit.
    return {"kind": kind, "what": draw.choice(able), "when": draw.choice([0, 0, 1, 3])}
