"""The newer cells against their equations, their scans against steps, their spectra against autodiff."""

import math
from dataclasses import replace

import pytest
import torch
from reference import modern_cells as oracles
from tiny import TINY, VOCABULARY
from torch import nn

from hyperprune.builtin.controls import PRESETS
from hyperprune.builtin.models import MODELS
from hyperprune.errors import PluginError, SpectrumError
from hyperprune.layers.convolution import CausalConvolution
from hyperprune.layers.norms import HeadNorm
from hyperprune.lyapunov import lyapunov_spectrum
from hyperprune.model import gate_rows
from hyperprune.runtime.seeds import seeded
from hyperprune.sparsity import SparseTraining
from hyperprune.sparsity.parameters import masked_parameters
from hyperprune.testing.models import check_features

MODERN = ("min_gru", "min_lstm", "lru", "gated_linear", "mlstm", "slstm")
LINEAR = MODERN[:-1]
CPU = torch.device("cpu")


def network(case, dtype=torch.float64, scale=2.0, **said):
    name, options = TINY[case]
    # not 1: an mLSTM's head of three nearly equal numbers comes of it, where rounding is 2e-6 after the norm
    with seeded(2, CPU), torch.no_grad():
        model = MODELS[name](VOCABULARY, **{**options, **said}).to(dtype).eval()
        for block in model.blocks:
            block.mixer.stacked.weight.mul_(scale)  # gates far from one half
            for name, parameter in block.mixer.named_parameters():
                if name in ("norm.weight", "conv.bias"):  # so that no place of theirs is another's
                    parameter.add_(torch.linspace(-0.5, 0.5, len(parameter)))
    return model


def text(steps, batch=2):
    return torch.randint(VOCABULARY, (steps, batch), generator=torch.Generator().manual_seed(2))


def begun(model, batch=2):
    """A state that a text has left: an sLSTM's normaliser is positive there."""
    with torch.no_grad():
        return model(text(4, batch).flip(0), model.initial_state(batch))[1]


@pytest.mark.parametrize("conv", [0, 3])
@pytest.mark.parametrize("case", MODERN)
def test_a_segment_is_the_papers_equations(case, conv):
    model = network(case, conv=conv)
    single = network(case, torch.float32, conv=conv)
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


@pytest.mark.parametrize("conv", [0, 3])
@pytest.mark.parametrize("case", MODERN)
def test_steps_and_segments_of_any_length_agree(case, conv):
    model = network(case, conv=conv)
    tokens = text(70)  # more than a chunk
    with torch.no_grad():
        whole, after = model(tokens, model.initial_state(2))
        parts, carried = [], model.initial_state(2)
        for part in tokens.split([1, 2, 67]):  # borders that a convolution reaches across
            logits, carried = model(part, carried)
            parts.append(logits)
        state, single = model.initial_state(2), []
        for token in tokens:
            logits, state = model(token[None], state)
            single.append(logits)
        stepped = model.initial_state(2)
        for token in tokens:
            stepped = model.step(token, stepped)
    for logits in (single, parts):
        torch.testing.assert_close(torch.cat(logits), whole, rtol=1e-10, atol=1e-10)
    for other in (state, stepped, carried):
        torch.testing.assert_close(other, after, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", MODERN)
def test_gradients_are_those_of_differences(case):
    model = network(case)
    block, start = model.blocks[0], begun(model)
    state = start[: len(block.mixer.parts(0))]
    x = torch.randn(5, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    names = [name for name, _ in block.named_parameters()]

    def run(x, *given):
        parts, weights = given[: len(state)], dict(zip(names, given[len(state) :], strict=True))
        y, after = torch.func.functional_call(block, weights, (x, parts))
        return (y, *after)

    given = (x, *state, *block.parameters())
    given = tuple(g.detach().clone().requires_grad_() for g in given)
    assert torch.autograd.gradcheck(run, given, fast_mode=True)


class Plain(nn.Module):
    """A network's step without its tangent, for the engine to differentiate."""

    def __init__(self, model):
        super().__init__()
        self.model, self.state_parts = model, model.state_parts

    def initial_state(self, batch):
        return self.model.initial_state(batch)

    def step(self, x_t, state):
        return self.model.step(x_t, state)


@pytest.mark.parametrize("conv", [0, 3])
@pytest.mark.parametrize("case", LINEAR)
def test_spectra_are_means_of_logarithms(case, conv):
    model, tokens = network(case, conv=conv), text(16)
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


@pytest.mark.parametrize("conv", [0, 3])
def test_an_slstms_spectrum_is_that_of_its_equations(conv):
    # the lower layer alone: no other is in its block; its inputs are given, and so is what convolves them
    model, tokens = network("slstm", conv=conv), text(16, 1)
    found = lyapunov_spectrum(model, tokens, burn_in=4, resolution=-1e9)
    block, (state, window, *_) = model.blocks[0], (part[0] for part in model.initial_state(1))
    xs = [oracles.norm(x, block.norm.weight) for x in model.encoder.weight[tokens[:, 0]].detach()]
    frame, sums = torch.eye(18, dtype=torch.float64), torch.zeros(18, dtype=torch.float64)
    for t, x in enumerate(xs):
        move = lambda h, x=x, w=window: oracles.slstm([x.detach()], h, w, block.mixer)  # noqa: E731
        jacobian = torch.autograd.functional.jacobian(lambda h, move=move: move(h)[1], state)
        frame, R = torch.linalg.qr(jacobian @ frame)
        sums += R.diagonal().abs().log() * (t >= 4)
        _, state, _, window = move(state)
        state = state.detach()
    own = found.per_sequence[0][found.layers == 0]
    wanted = (sums / 12).sort().values
    torch.testing.assert_close(own.sort().values, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("case", "kind"), [("lru", "full"), ("min_gru", "full"), ("lru", "hidden")]
)
def test_the_leading_exponents_are_the_largest_wherever_they_stand(case, kind):
    # a recurrence that only scales has a size for each coordinate, in no order
    model, tokens = network(case, layers=2), text(20)
    if kind == "hidden":  # the published order: by layer, and by coordinate
        how = {"state_kind": "hidden", "protocol": "published", "steps": 12, "burn_in": 4}
    else:
        how = {"burn_in": 4}
    whole = lyapunov_spectrum(model, tokens, **how)
    leading = lyapunov_spectrum(model, tokens, k=3, **how)
    order = whole.exponents.argsort(descending=True, stable=True)[:3]
    order = order.sort().values if kind == "hidden" else order
    assert torch.equal(leading.exponents, whole.exponents[order])
    assert torch.equal(leading.layers, whole.layers[order])


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
        ("slstm", {"hidden": [8, 4], "heads": 4, "layers": 2}, "leaves a head one unit"),
        ("lru", {"r_min": 0.9, "r_max": 0.5}, "is not below"),
        ("min_gru", {"conv": 1}, "conv = 1 sees no input before its own"),
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


def example_of(case, **options):
    name, own = TINY[case]
    with seeded(1, CPU):
        return MODELS[name](VOCABULARY, **{**own, "expansion": 2, "conv": 3, **options})


@pytest.mark.parametrize("case", MODERN)
def test_projections_are_masked_convolutions_and_norms_are_not(case):
    model = example_of(case)
    masked = {name for name, _ in masked_parameters(model)}
    own = ["mixer.stacked.weight", "mixer.out.weight", "up.weight", "down.weight"]
    own += ["mixer.recurrent"] * (case == "slstm")
    ends = {"encoder.weight", "decoder.weight"}
    assert masked == ends | {f"blocks.{layer}.{name}" for layer in (0, 1) for name in own}
    left = {name for name, _ in model.named_parameters()} - masked
    assert {
        f"blocks.1.{name}" for name in ("norm.weight", "mixer.conv.taps", "mixer.conv.bias")
    } < left
    assert {"norm.weight", "blocks.0.forward_norm.weight"} < left


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("case", MODERN)
def test_presets_train_it_sparsely(case, preset):
    model = example_of(case)
    tokens = text(9, 4)

    def backward():
        model.zero_grad()
        model.training_loss(tokens[:-1], tokens[1:], model.initial_state(4))[0].backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    sparse = SparseTraining(
        model, optimizer, density=0.3, preset=preset, total_steps=8, gradients=backward
    )
    moves = PRESETS[preset]()["update"] != "never"
    first, total = sparse.masks, sum(sparse.counts().values())
    with seeded(2, CPU):
        for _ in range(4):
            backward()
            sparse.step(update=moves)
    masks = sparse.masks
    if preset == "gradual":  # it began dense
        assert sum(sparse.counts().values()) < total
    else:
        assert sum(sparse.counts().values()) == total
    assert all(not model.get_parameter(name)[~mask].any() for name, mask in masks.items())
    moved = {name for name, mask in masks.items() if not torch.equal(mask, first[name])}
    assert {f"blocks.{i}.mixer.stacked.weight" for i in (0, 1)} <= moved if moves else not moved


@pytest.mark.parametrize("case", MODERN)
def test_gates_keep_the_shares_they_are_given(case):
    model = example_of(case)
    shares = [1.0 + i for i in range(len(model.blocks[0].mixer.gates))]
    ends = [name for name, _ in masked_parameters(model) if "stacked" not in name]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    by_gate = {"name": "by_gate", "shares": shares}
    sparse = SparseTraining(
        model, optimizer, density=0.2, init=by_gate, growth=by_gate, exclude=ends, total_steps=4,
        removal="random", removal_rate=0.9,  # so much that what is left exceeds no gate's share
    )  # fmt: skip
    for update in (False, True):
        if update:
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            sparse.step(update=True)
        for name, mask in sparse.masks.items():
            rows = gate_rows(model.gates()[name], len(mask)).values()
            parts = [mask[own].double() for own in rows]
            common = math.gcd(*map(len, parts))  # rows that the start deals out to together
            unit = mask.sum() / sum(s * p.numel() for s, p in zip(shares, parts, strict=True))
            for share, part in zip(shares, parts, strict=True):
                room = 1 if update else len(part) // common
                assert abs(part.sum() - unit * share * part.numel()) <= room


@pytest.mark.parametrize("case", MODERN)
def test_it_reads_features(case):
    name, options = TINY[case]
    check_features(lambda size: MODELS[name](size, **options))


def test_a_window_is_followed_by_no_spectrum_and_must_be_one():
    model = Plain(example_of("slstm"))
    assert [part.kind for part in model.state_parts] == ["hidden", "window"] * 2
    found = lyapunov_spectrum(model.double(), text(8), burn_in=2)
    assert len(found.exponents) == 2 * 18  # h, c and n of 6 units, two layers
    hidden, window = model.state_parts[:2]
    model.state_parts = (
        replace(window, size=hidden.size),
        replace(hidden, size=window.size),
        *model.state_parts[2:],
    )  # the other way about: what is called a window is the recurrence
    with pytest.raises(SpectrumError, match="part 0 of the state is declared a window"):
        lyapunov_spectrum(model, text(8), burn_in=2)


def test_a_convolution_is_a_sum_over_the_last_inputs():
    # one channel, taps 1, 10, 100 from the oldest; the window holds 1, 2, then 3, 4 come:
    # 1 + 20 + 300 and 2 + 30 + 400; 3, 4 are kept
    # and with a SiLU nothing is left of what is far below 0
    for silu, bias, wanted in (
        (False, 0.0, [321, 432]),
        (True, 0.0, [321, 432]),
        (True, -600.0, [0, 0]),
    ):
        conv = CausalConvolution(1, 3, silu=silu)
        with torch.no_grad():
            conv.taps.copy_(torch.tensor([1.0, 10, 100]))
            conv.bias.fill_(bias)
            y, window = conv(torch.tensor([3.0, 4])[:, None, None], torch.tensor([[1.0, 2]]))
        assert y.flatten().tolist() == wanted
        assert window.tolist() == [[3, 4]]


def test_a_head_is_normed_by_itself():
    # heads (1, 3) and (5, 5): −1, 1 and 0, 0, times weights 1, 2, 3, 4; and as torch groups channels
    norm = HeadNorm(4, 2)
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1.0, 5))
        found = norm(torch.tensor([1.0, 3, 5, 5]))
        x = torch.randn(7, 4, generator=torch.Generator().manual_seed(4))
        grouped = nn.functional.group_norm(x, 2, norm.weight)
        torch.testing.assert_close(found, torch.tensor([-1.0, 2, 0, 0]), rtol=1e-5, atol=0)
        torch.testing.assert_close(norm(x), grouped)


@pytest.mark.parametrize(
    ("case", "channels"),
    [("min_gru", 6), ("lru", 6), ("gated_linear", 6 + 3 + 3), ("mlstm", 6), ("slstm", 6)],
)
def test_a_window_holds_what_is_convolved(case, channels):
    # inputs of a block, or what a gated linear recurrence makes of them: values, keys and queries
    model = network(case, conv=3, layers=1)
    assert [part.size for part in model.state_parts][1] == 2 * channels
