"""The newer cells against their equations, their scans against steps, their spectra against autodiff."""

import pytest
import torch
from reference import modern_cells as oracles
from tiny import TINY, VOCABULARY
from torch import nn

from hyperprune.builtin.models import MODELS
from hyperprune.errors import PluginError
from hyperprune.lyapunov import lyapunov_spectrum
from hyperprune.runtime.seeds import seeded

MODERN = ("min_gru", "min_lstm", "lru", "gated_linear", "mlstm", "slstm")
LINEAR = MODERN[:-1]
CPU = torch.device("cpu")


def network(case, dtype=torch.float64, scale=2.0):
    name, options = TINY[case]
    with seeded(1, CPU), torch.no_grad():
        model = MODELS[name](VOCABULARY, **options).to(dtype).eval()
        for block in model.blocks:
            block.mixer.stacked.weight.mul_(scale)  # gates far from one half
    return model


def text(steps, batch=2):
    return torch.randint(VOCABULARY, (steps, batch), generator=torch.Generator().manual_seed(2))


def begun(model, batch=2):
    """A state that a text has left: an sLSTM's normaliser is positive there."""
    with torch.no_grad():
        return model(text(4, batch).flip(0), model.initial_state(batch))[1]


@pytest.mark.parametrize("case", MODERN)
def test_a_segment_is_the_papers_equations(case):
    model = network(case)
    single = network(case, torch.float32)
    tokens, state = text(7), begun(model)
    with torch.no_grad():
        features, _, after = model.features(tokens, state)
        low, _, low_after = single.features(tokens, tuple(part.float() for part in state))
        for b in range(tokens.shape[1]):
            xs, own = list(model.encoder.weight[tokens[:, b]]), [part[b] for part in state]
            wanted, left, _ = oracles.blocks(xs, own, model, getattr(oracles, case))
            found = [(features[:, b], low[:, b], torch.stack(wanted))]
            found += [(a[b], c[b], d) for a, c, d in zip(after, low_after, left, strict=True)]
            for double, float32, exact in found:
                torch.testing.assert_close(double, exact, rtol=1e-10, atol=1e-10)
                # in single precision, as a share of the size of all numbers together
                assert (float32.double() - exact).norm() <= 1e-6 * exact.norm()


@pytest.mark.parametrize("case", MODERN)
def test_steps_and_segments_of_any_length_agree(case):
    model = network(case)
    tokens = text(70)  # more than a chunk
    with torch.no_grad():
        whole, after = model(tokens, model.initial_state(2))
        state, single = model.initial_state(2), []
        for token in tokens:
            logits, state = model(token[None], state)
            single.append(logits)
        stepped = model.initial_state(2)
        for token in tokens:
            stepped = model.step(token, stepped)
    torch.testing.assert_close(torch.cat(single), whole, rtol=1e-10, atol=1e-10)
    for part, other, third in zip(after, state, stepped, strict=True):
        torch.testing.assert_close(other, part, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(third, part, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", MODERN)
def test_gradients_are_those_of_differences(case):
    model = network(case)
    mixer, state = model.blocks[0].mixer, begun(model)[0]
    x = torch.randn(5, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def run(x, h, weight):
        with_weight = {"stacked.weight": weight}
        return torch.func.functional_call(mixer, with_weight, (x, h))

    given = (x, state, mixer.stacked.weight)
    assert torch.autograd.gradcheck(run, tuple(g.detach().requires_grad_() for g in given))


class Plain(nn.Module):
    """A network's step without its tangent, for the engine to differentiate."""

    def __init__(self, model):
        super().__init__()
        self.model, self.state_parts = model, model.state_parts

    def initial_state(self, batch):
        return self.model.initial_state(batch)

    def step(self, x_t, state):
        return self.model.step(x_t, state)


@pytest.mark.parametrize("case", LINEAR)
def test_spectra_are_means_of_logarithms(case):
    model, tokens = network(case), text(16)
    fast = lyapunov_spectrum(model, tokens, burn_in=4, resolution=-1e9)
    slow = lyapunov_spectrum(Plain(model), tokens, burn_in=4, resolution=-1e9)
    torch.testing.assert_close(fast.per_sequence, slow.per_sequence, rtol=0, atol=1e-9)
    assert fast.layers.tolist() == slow.layers.tolist()
    for b in range(tokens.shape[1]):
        xs = list(model.encoder.weight[tokens[:, b]].detach())
        start = [part[b] for part in model.initial_state(2)]
        with torch.no_grad():
            _, _, factors = oracles.blocks(xs, start, model, getattr(oracles, case))
        wanted = torch.cat([torch.stack(sizes[4:]).log().mean(0) for sizes in factors])
        found = fast.per_sequence[b].sort().values
        torch.testing.assert_close(found, wanted.sort().values, rtol=0, atol=1e-9)


def test_a_wide_matrix_state_needs_no_matrix_of_its_own_size():
    # 4 heads of 32 × 33 numbers, 3 layers: a frame would hold 4 224² numbers a layer and sequence.
    with seeded(1, CPU):
        model = MODELS["mlstm"](VOCABULARY, hidden=128, heads=4, layers=3, expansion=0)
    found = lyapunov_spectrum(model, text(20), burn_in=4, k=None)
    assert len(found.exponents) == 3 * 4 * 32 * 33
    assert len(lyapunov_spectrum(model, text(20), burn_in=4, k=5).exponents) == 5


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("mlstm", {"hidden": 6, "heads": 4}, "does not divide"),
        ("slstm", {"hidden": 6, "heads": 4}, "does not divide"),
        ("gated_linear", {"hidden": 6, "heads": 4}, "does not divide"),
        ("lru", {"r_min": 0.9, "r_max": 0.5}, "is not below"),
        ("min_gru", {"hidden": 6, "embedding": 5, "tied": True}, ""),
    ],
)
def test_sizes_that_do_not_fit(name, options, said):
    if not said:
        assert MODELS[name](VOCABULARY, **options).decoder.weight.shape == (VOCABULARY, 5)
        return
    with pytest.raises(PluginError, match=said):
        MODELS[name](VOCABULARY, **options)


def test_gates_are_named_for_what_the_rows_are():
    assert set(network("slstm").gates()) == {
        f"blocks.{i}.mixer.{name}"
        for i in (0, 1)
        for name in ("stacked.weight", "stacked.bias", "recurrent")
    }
    assert network("gated_linear").gates()["blocks.0.mixer.stacked.weight"] == {
        "output": 6, "value": 6, "key": 3, "query": 3, "step": 2,
    }  # fmt: skip


def test_a_scan_is_a_loop():
    from hyperprune.layers.linear_scan import linear_scan

    # h = 1; a = 1/2, 3, 0; b = 1, 0, 5: h becomes 1.5, 4.5, 5
    column = lambda *values: torch.tensor(values)[:, None, None]  # noqa: E731
    found = linear_scan(column(0.5, 3.0, 0.0), column(1.0, 0.0, 5.0), torch.ones(1, 1))
    assert found.flatten().tolist() == [1.5, 4.5, 5.0]
