"""Spectra of modules without `step`: against the explicit models, against autodiff, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from hyperprune.model import StatePart

from .conftest import text

TOKENS = text(45, 3, seed=5)
KINDS = ("full", "hidden")


class Net(nn.Module):
    """A user's network: no plugin knows it."""

    def __init__(self, rnn: nn.Module, *, first: bool = False) -> None:
        super().__init__()
        self.embed, self.rnn, self.first = nn.Embedding(12, 8), rnn, first
        self.head = nn.Linear(4, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.rnn(self.embed(tokens.T if self.first else tokens))[0]


class Steps(nn.Module):
    """The same recurrence, one step at a time, by torch's module itself: what autodiff differentiates."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net, rnn = net, net.rnn
        self.memory = isinstance(rnn, nn.LSTM)
        shown = getattr(rnn, "proj_size", 0) or rnn.hidden_size
        self.state_parts = tuple(
            part
            for layer in range(rnn.num_layers)
            for part in (
                StatePart(layer, "hidden", shown),
                *([StatePart(layer, "memory", rnn.hidden_size)] if self.memory else []),
            )
        )

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        return tuple(torch.zeros(batch, part.size) for part in self.state_parts)

    def step(self, x_t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = self.net.embed(x_t)[:, None] if self.net.first else self.net.embed(x_t)[None]
        if self.memory:
            h, c = torch.stack(state[::2]), torch.stack(state[1::2])
            _, (h, c) = self.net.rnn(x, (h, c))
            return tuple(part for pair in zip(h, c, strict=True) for part in pair)
        return tuple(self.net.rnn(x, torch.stack(state))[1])


def assert_equal(mine: LyapunovSpectrum, other: LyapunovSpectrum, tolerance: float) -> None:
    assert (mine.exponents - other.exponents).abs().max() < tolerance
    assert (mine.per_sequence - other.per_sequence).abs().max() < tolerance
    assert torch.equal(mine.layers, other.layers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_explicit_model_has_the_same_spectrum(trained: Any, cell: str, kind: str) -> None:
    explicit = trained(cell, 2)
    net = Net(explicit.rnn)
    net.embed = explicit.encoder
    mine = lyapunov_spectrum(net.train(), TOKENS, state_kind=kind)
    assert_equal(mine, lyapunov_spectrum(explicit, TOKENS, state_kind=kind), 1e-12)
    assert mine.layer_names == ("rnn.l0", "rnn.l1")
    assert torch.equal(mine.by_name()["rnn.l1"], mine.by_layer()[1])
    assert net.training


MADE = {
    "projected": lambda: nn.LSTM(8, 9, 2, proj_size=4),
    "batch first": lambda: nn.LSTM(8, 7, 2, batch_first=True, dropout=0.5),
    "without bias": lambda: nn.GRU(8, 7, bias=False),
    "relu": lambda: nn.RNN(8, 7, 2, nonlinearity="relu"),
    "tanh": lambda: nn.RNN(8, 7),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MADE)
def test_automatic_differentiation_finds_the_same(name: str, kind: str) -> None:
    torch.manual_seed(3)
    rnn = MADE[name]()
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.mul_(1.5)
    net = Net(rnn, first=name == "batch first")
    mine = lyapunov_spectrum(net, TOKENS, state_kind=kind)
    assert_equal(mine, lyapunov_spectrum(Steps(net), TOKENS, state_kind=kind), 1e-9)


class Loop(nn.Module):
    """Two cells in a loop of the user's own, the upper one of another kind."""

    def __init__(self, feedback: bool = False, reset: bool = False) -> None:
        super().__init__()
        self.below, self.above = nn.LSTMCell(5, 6), nn.GRUCell(6, 6)
        self.feedback, self.reset, self.back = feedback, reset, nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:  # (T, B, 5)
        state, h = None, None
        for t, x_t in enumerate(x):
            if self.feedback and h is not None:
                x_t = x_t + self.back(h)
            if self.reset and t == 5:
                h = torch.zeros_like(h)
            state = self.below(x_t, state)
            h = self.above(torch.tanh(state[0]), h)
        return h


class LoopSteps(nn.Module):
    state_parts = (
        StatePart(0, "hidden", 6),
        StatePart(0, "memory", 6),
        StatePart(1, "hidden", 6),
    )

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.loop = loop

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        return (torch.zeros(batch, 6),) * 3

    def step(self, x_t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        h, c = self.loop.below(x_t, state[:2])
        return h, c, self.loop.above(torch.tanh(h), state[2])


def drive(steps: int = 45, batch: int = 3, width: int = 5) -> Tensor:
    return torch.randn(steps, batch, width, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("kind", KINDS)
def test_cells_in_a_loop(kind: str) -> None:
    torch.manual_seed(1)
    loop = Loop()
    mine = lyapunov_spectrum(loop, drive(), state_kind=kind)
    assert_equal(mine, lyapunov_spectrum(LoopSteps(loop), drive(), state_kind=kind), 1e-9)
    assert mine.layer_names == ("below", "above")


class Two(nn.Module):
    """Two modules over time with something between them, and a state that is given."""

    def __init__(self) -> None:
        super().__init__()
        self.lower = nn.GRU(5, 6)
        self.norm = nn.LayerNorm(6)
        self.upper = nn.ModuleList([nn.LSTM(6, 4)])

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.upper[0](self.norm(self.lower(x, hx=h)[0]))[0]


def test_several_modules_keep_their_own_names_and_spectra() -> None:
    torch.manual_seed(2)
    two, x, h = Two().double(), drive().double(), torch.full((1, 3, 6), 0.3).double()
    found = lyapunov_spectrum(two, (x, h))
    assert found.layer_names == ("lower", "upper.0")
    assert [len(own) for own in found.by_layer()] == [6, 8]
    lower = lyapunov_spectrum(two.lower, {"input": x, "hx": h})
    assert lower.layer_names == ("GRU",)
    with torch.no_grad():
        between = two.norm(two.lower(x, h)[0])
    upper = lyapunov_spectrum(two.upper[0], between)
    assert (found.by_name()["lower"] - lower.exponents).abs().max() < 1e-12
    assert (found.by_name()["upper.0"] - upper.exponents).abs().max() < 1e-12
    without = lyapunov_spectrum(two, x)
    assert (without.exponents - found.exponents).abs().max() > 1e-6  # the given state counts


def test_packed_sequences_last_as_long_as_the_shortest() -> None:
    torch.manual_seed(2)
    rnn, x = nn.LSTM(5, 6), drive()
    packed = pack_padded_sequence(x, torch.tensor([30, 45, 38]), enforce_sorted=False)
    mine = lyapunov_spectrum(rnn, packed)
    assert mine.steps == 20
    assert_equal(mine, lyapunov_spectrum(rnn, x[:30]), 1e-12)
    short = pack_padded_sequence(x, torch.tensor([30, 45, 8]), enforce_sorted=False)
    with pytest.raises(SpectrumError, match="too short"):
        lyapunov_spectrum(rnn, short)


def test_a_single_sequence_and_calls_that_go_on() -> None:
    class Chunks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(5, 6, 2)

        def forward(self, x: Tensor) -> None:
            state = None
            for part in x.split(7):
                _, state = self.rnn(part, state)

    torch.manual_seed(2)
    chunks, x = Chunks(), drive()
    whole = lyapunov_spectrum(chunks.rnn, x)
    assert_equal(lyapunov_spectrum(chunks, x), whole, 1e-12)
    alone = lyapunov_spectrum(chunks.rnn, x[:, 1])  # (T, E)
    assert (
        alone.per_sequence[0] - lyapunov_spectrum(chunks.rnn, x[:, 1:2]).exponents
    ).abs().max() == 0


def test_a_module_that_makes_single_precision_runs_in_it() -> None:
    class OneHot(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(12, 6)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.rnn(nn.functional.one_hot(tokens, 12).float())[0]

    torch.manual_seed(2)
    net = OneHot()
    exact = lyapunov_spectrum(net.rnn, nn.functional.one_hot(TOKENS, 12).double())
    assert_equal(lyapunov_spectrum(net, TOKENS), exact, 1e-12)
    assert next(net.parameters()).dtype == torch.float32


@pytest.mark.parametrize("wrap", [lambda net: torch.compile(net, backend="eager"), nn.DataParallel])
def test_wrappers_are_looked_through(wrap: Any) -> None:
    torch.manual_seed(2)
    net = Net(nn.GRU(8, 6))
    wrapped = lyapunov_spectrum(wrap(net), TOKENS)
    assert wrapped.layer_names == ("rnn",)
    assert_equal(wrapped, lyapunov_spectrum(net, TOKENS), 1e-15)


def test_weights_that_are_computed_are_those_it_runs_with() -> None:
    torch.manual_seed(2)
    net = Net(nn.GRU(8, 6))
    plain = lyapunov_spectrum(net, TOKENS)
    nn.utils.parametrizations.weight_norm(net.rnn, "weight_hh_l0")
    assert_equal(lyapunov_spectrum(net, TOKENS), plain, 1e-5)  # float32 rounding of the norm
    with torch.no_grad():
        net.rnn.parametrizations.weight_hh_l0.original0.mul_(0.5)
    assert lyapunov_spectrum(net, TOKENS).largest < plain.largest - 0.01


def test_names_are_saved_with_the_spectrum(tmp_path: Any) -> None:
    found = lyapunov_spectrum(Two(), drive())
    found.save(tmp_path / "two.safetensors")
    assert LyapunovSpectrum.load(tmp_path / "two.safetensors").layer_names == ("lower", "upper.0")


class Odd(nn.LSTM):
    """Says that it is an LSTM."""

    def forward(self, x: Tensor, hx: Any = None) -> Any:
        out, state = super().forward(x, hx)
        return out * 2, state


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.GRU(5, 6), nn.GRU(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        out, h = self.encoder(x)
        return self.decoder(out[:20], h)[0]


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(5, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0] + self.rnn(x.flip(0))[0]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(5, 6), r"Linear has no nn\.LSTM.*step\(x_t, state\)"),
        (nn.LSTM(5, 6, bidirectional=True), "is bidirectional: one of its directions reads"),
        (
            nn.ModuleDict({"deep": nn.GRU(5, 6, bidirectional=True)}),
            r"deep \(GRU\) is bidirectional",
        ),
        (Loop(feedback=True), r"what below \(LSTMCell\) is given depends on what it returned"),
        (Loop(reset=True), r"call 6 of above \(GRUCell\) does not start from the state"),
        (Odd(5, 6), "the Odd does not compute what"),
        (Encoder(), "encoder: 45 × 3, decoder: 20 × 3.*measure each by itself"),
        (Shared(), r"call 2 of rnn \(GRU\) does not start"),
        (nn.GRU(4, 6), "GRU failed on these inputs: .*4"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_has_no_spectrum_so_is_refused_with_the_reason(
    module: nn.Module, message: str
) -> None:
    with pytest.raises(SpectrumError, match=message):
        lyapunov_spectrum(module, drive())


def test_a_state_and_the_published_protocol() -> None:
    with pytest.raises(SpectrumError, match="starts from what its forward is given"):
        lyapunov_spectrum(nn.GRU(5, 6), drive(), state=torch.zeros(3, 6))
    with pytest.raises(SpectrumError, match="replays its inputs"):
        lyapunov_spectrum(Two(), drive(), state_kind="hidden", protocol="published")


def test_the_published_protocol_of_one_module(trained: Any) -> None:
    explicit = trained("lstm", 2)
    net = Net(explicit.rnn)
    net.embed = explicit.encoder
    settings = {"state_kind": "hidden", "protocol": "published"}
    mine, other = (lyapunov_spectrum(own, TOKENS, **settings) for own in (net, explicit))
    assert_equal(mine, other, 1e-12)


class Counting(Shared):
    """Has a step that is no step of a recurrence: how many were taken."""

    step = 0

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]


class Training(Counting):
    """Has a step that is no step of a recurrence: it takes a batch."""

    def step(self, batch: Tensor) -> Tensor:  # type: ignore[override]
        return self(batch).sum()


@pytest.mark.parametrize("kind", [Counting, Training])
def test_a_step_without_a_state_to_start_from_is_something_else(kind: type[Counting]) -> None:
    module = kind()
    measured = lyapunov_spectrum(module, drive())
    assert_equal(measured, lyapunov_spectrum(module.rnn, drive()), 1e-12)


class Remembers(nn.Module):
    """Keeps its last hidden states, with their graph."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(5, 6)
        self.seen: dict[str, list[Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.rnn(x)[0]
        self.seen["last"] = [y]
        return y


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("kind", ["parametrised", "old norm", "remembers"])
def test_a_network_that_has_been_trained_a_step_is_copied(kind: str) -> None:
    """What a module keeps of its last call has a graph, which `copy.deepcopy` refuses."""
    torch.manual_seed(2)
    net: nn.Module = Remembers()
    if kind == "parametrised":
        net = nn.utils.parametrizations.weight_norm(nn.GRU(5, 6), "weight_hh_l0")
    elif kind == "old norm":
        net = nn.Sequential(nn.utils.weight_norm(nn.Linear(5, 5)), nn.GRU(5, 6))
    with torch.no_grad():
        net(drive())
    before = lyapunov_spectrum(net, drive())
    answer = net(drive())
    (answer[0] if isinstance(answer, tuple) else answer).sum().backward()
    assert_equal(lyapunov_spectrum(net, drive()), before, 1e-12)
