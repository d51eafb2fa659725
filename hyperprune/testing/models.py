"""The suite that every model passes, built-in or a plugin's: `check_model(lambda: mine(29))`.

Each check takes `make`, which builds the network anew with small sizes and dropout as it ships. They
are also listed in `CHECKS`, for a test that runs them one by one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional

from hyperprune.errors import PluginError, nearest
from hyperprune.lyapunov import lyapunov_spectrum
from hyperprune.lyapunov.tangent import StateKind
from hyperprune.lyapunov.tangent.autodiff import step_layers, step_tangent
from hyperprune.model import Features, detach, gate_rows, losses
from hyperprune.plugins import registry
from hyperprune.runtime.seeds import seeded
from hyperprune.sparsity import SparseTraining

Make = Callable[[], nn.Module]

STEPS, BATCH = 6, 3
CPU = torch.device("cpu")


def build(make: Make, seed: int = 1) -> Any:
    """Make the network with initial weights of a seed, in float64."""
    with seeded(seed, CPU):
        return make().double()


def tokens(model: Any, steps: int = STEPS, batch: int = BATCH) -> Tensor:
    """Draw token ids (T, B) that the network knows, the same for every network."""
    probe = torch.zeros(1, batch, dtype=torch.long)
    with torch.no_grad():
        vocabulary = model.eval()(probe, model.initial_state(batch))[0].shape[-1]
    draw = torch.Generator().manual_seed(5)
    return torch.randint(vocabulary, (steps, batch), generator=draw)


def check_shapes(make: Make) -> None:
    """Assert that states and logits have the promised shapes."""
    model = build(make)
    text = tokens(model)
    state = model.initial_state(BATCH)
    parts = getattr(model, "state_parts", None)
    if parts is not None:
        assert [tuple(part.shape) for part in state] == [(BATCH, part.size) for part in parts]
    assert all(part.shape[0] == BATCH and part.dim() == 2 for part in state), "state is (B, n)"
    logits, after = model(text, state)
    assert logits.shape[:2] == text.shape, "logits are (T, B, V)"
    assert [part.shape for part in after] == [part.shape for part in state]
    assert all(part.dtype == state[0].dtype for part in after)
    assert not any(part.requires_grad for part in detach(after))


def check_step(make: Make) -> None:
    """Assert that `step`, one token at a time, carries the state that `forward` carries."""
    model = build(make).eval()
    text = tokens(model)

    def stepped() -> Any:
        state = model.initial_state(BATCH)
        for token in text:
            state = model.step(token, state)
        return state

    with torch.no_grad():
        _, after = model(text, model.initial_state(BATCH))
        once, again = stepped(), stepped()
    assert len(once) == len(after), f"step carries {len(once)} tensors, forward {len(after)}"
    for place, (got, same, wanted) in enumerate(zip(once, again, after, strict=True)):
        assert torch.equal(got, same), (
            f"step is random in evaluation mode: part {place} of the state differs when asked again; "
            "dropout belongs to training (functional.dropout needs training=self.training)"
        )
        assert got.shape == wanted.shape, (
            f"part {place} of the state is {tuple(got.shape)} after step, {tuple(wanted.shape)} "
            "after forward"
        )
        gap = float((got - wanted).abs().max())
        assert gap <= 1e-9, (
            f"step and forward carry different states: part {place} lies up to {gap:.2g} apart after "
            f"{STEPS} tokens, in float64 and evaluation mode"
        )


def check_segments(make: Make) -> None:
    """Assert that state carried from segment to segment equals one long pass."""
    model = build(make).eval()
    text = tokens(model)
    with torch.no_grad():
        whole, _ = model(text, model.initial_state(BATCH))
        first, state = model(text[:2], model.initial_state(BATCH))
        second, _ = model(text[2:], detach(state))
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-9)


def check_evaluation(make: Make) -> None:
    """Assert that evaluation is deterministic and treats each sequence by itself."""
    model = build(make).eval()
    text = tokens(model)
    with torch.no_grad():
        once, _ = model(text, model.initial_state(BATCH))
        again, _ = model(text, model.initial_state(BATCH))
        alone, _ = model(text[:, 1:2], model.initial_state(1))
    assert torch.equal(once, again), (
        "forward is random in evaluation mode: equal texts get different logits; dropout belongs to "
        "training (functional.dropout needs training=self.training)"
    )
    gap = float((alone[:, 0] - once[:, 1]).abs().max())
    assert gap <= 1e-9, f"a sequence's logits change by {gap:.2g} with those beside it in the batch"


def check_losses(make: Make) -> None:
    """Assert that losses are cross entropy of the logits, and that every parameter learns."""
    model = build(make).eval()
    text = tokens(model, STEPS + 1)
    network, state = losses(model), model.initial_state(BATCH)
    with torch.no_grad():
        logits, _ = model(text[:-1], state)
        nll, _ = network.evaluation_loss(text[:-1], text[1:], state)
    wanted = functional.cross_entropy(logits.flatten(0, 1), text[1:].flatten())
    torch.testing.assert_close(nll, wanted, rtol=0, atol=1e-9)
    model.train()
    with seeded(3, CPU):
        loss, logged, after = network.training_loss(text[:-1], text[1:], state)
        network.training_loss(text[:-1], text[1:], detach(after))[0].backward()
    assert loss.requires_grad
    assert not logged.requires_grad
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} gets no gradient"
        assert parameter.grad.isfinite().all(), f"{name} gets a gradient that is not finite"


def check_gates(make: Make) -> None:
    """Assert that gates name parameters and fill them."""
    model = build(make)
    parameters = dict(model.named_parameters())
    for name, gates in getattr(model, "gates", dict)().items():
        assert name in parameters, (
            f"gates() names {name!r}, which is no parameter{nearest(name, parameters)}"
        )
        try:
            rows = gate_rows(gates, parameters[name].shape[0])
        except ValueError as error:
            raise AssertionError(f"gates() of {name}: {error}") from None
        assert len(rows) == len(gates), f"gates() of {name} has a name twice: {tuple(gates)}"


def check_units(make: Make) -> None:
    """Assert that a unit which sends nothing is not felt, whatever its other weights are."""
    model = build(make).eval()
    if not hasattr(model, "units"):
        return
    try:
        groups = model.units()
    except PluginError:  # it says why none can go
        return
    parameters = dict(model.named_parameters())
    text = tokens(model)
    for name, units in groups.items():
        assert any(place.sends for place in units.places), f"units() of {name!r} send to no weight"
        for place in units.places:
            assert place.weight in parameters, (
                f"units() of {name!r} name {place.weight!r}, which is no "
                f"parameter{nearest(place.weight, parameters)}"
            )
            entries = parameters[place.weight].detach().movedim(place.dim, 0)
            assert max(place.starts) + units.size <= len(entries), (
                f"units() of {name!r}: {place.weight} has {len(entries)} entries in dimension {place.dim}"
            )
            for start in place.starts if place.sends else ():
                entries[start + units.size - 1] = 0
    with torch.no_grad():
        wanted = model(text, model.initial_state(BATCH))[0]
        for units in groups.values():
            for place in units.places:
                entries = parameters[place.weight].detach().movedim(place.dim, 0)
                for start in () if place.sends else place.starts:
                    entries[start + units.size - 1] *= 2
        found = model(text, model.initial_state(BATCH))[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def check_saving(make: Make) -> None:
    """Assert that named parameters, saved and loaded into another network, are all of it."""
    model, other = build(make).eval(), build(make, seed=2).eval()
    saved = save({name: value.detach() for name, value in model.named_parameters()})
    with torch.no_grad():
        own = dict(other.named_parameters())
        for name, value in load(saved).items():
            own[name].copy_(value)
        text = tokens(model)
        logits = [net(text, net.initial_state(BATCH))[0] for net in (model, other)]
    assert torch.equal(*logits)


def check_sparse(make: Make) -> None:
    """Assert that every removal × growth × redistribution keeps it sparse for two updates."""
    model = build(make).train()
    text = tokens(model, STEPS + 1)
    model.train()
    with seeded(3, CPU):
        losses(model).training_loss(text[:-1], text[1:], model.initial_state(BATCH))[0].backward()
    gradients = {name: value.grad.clone() for name, value in model.named_parameters()}
    initial = {name: value.detach().clone() for name, value in model.named_parameters()}
    kinds = ("removal", "growth", "redistribution")
    for combination in itertools.product(*(registry().names(kind) for kind in kinds)):
        with torch.no_grad():
            for name, value in model.named_parameters():
                value.copy_(initial[name])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        chosen: dict[str, Any] = dict(zip(kinds, combination, strict=True))
        sparse = SparseTraining(
            model,
            optimizer,
            density=0.4,
            total_steps=4,
            gradients=lambda: gradients,
            **chosen,
        )
        total = sum(sparse.counts().values())
        for _ in range(2):
            for name, value in model.named_parameters():
                value.grad = gradients[name].clone()
            sparse.step(update=True)
            assert sum(sparse.counts().values()) == total, f"{combination}: the count drifts"
        for name, mask in sparse.masks.items():
            weight = model.get_parameter(name)
            assert not weight[~mask].any(), f"{combination}: {name} is not 0 where inactive"
            assert weight.isfinite().all()


def check_tangent(make: Make) -> None:
    """Assert that an analytic tangent equals automatic differentiation, block by block."""
    model = build(make).eval()
    if not hasattr(model, "tangent"):
        return
    with torch.no_grad():  # large weights: far from the trivial dynamics of a fresh network
        for value in model.parameters():
            value.mul_(2)
    text = tokens(model)
    start = model.initial_state(BATCH)
    draw = torch.Generator().manual_seed(7)
    state = tuple(torch.randn(part.shape, generator=draw).to(part) / 2 for part in start)
    kinds: tuple[StateKind, ...] = ("hidden", "full")
    for kind in kinds:
        layers = step_layers(model.state_parts, kind)
        plain, wanted = step_tangent(model.step, layers, text, state)
        with torch.no_grad():
            analytic, after = model.tangent(text, state, kind)
        for one, other in zip(after, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
        for own, check in zip(analytic, plain, strict=True):
            assert (own.layer, own.size) == (check.layer, check.size)
            for t, rows in itertools.product(range(STEPS), (slice(0, 1), slice(1, BATCH))):
                block = own.block(t, rows)
                dense = block if isinstance(block, Tensor) else block.dense()
                torch.testing.assert_close(dense, check.block(t, rows), rtol=0, atol=1e-9)


def check_spectrum(make: Make) -> None:
    """Assert that spectra are finite and have an exponent for each number that is carried and followed."""
    model = build(make)
    kinds: tuple[StateKind, ...] = ("hidden", "full")
    for kind in kinds:
        spectrum = lyapunov_spectrum(model, tokens(model, 14, 2), state_kind=kind, burn_in=4)
        assert spectrum.exponents.isfinite().all()
        sizes = [layer.size for layer in step_layers(model.state_parts, kind)]
        assert spectrum.exponents.numel() == sum(sizes)


def check_devices(make: Make, device: str = "cuda") -> None:
    """Assert that another device gives the CPU's logits and gradients, without dropout's chance."""
    model, other = build(make).eval(), build(make).to(device).eval()
    text = tokens(model, STEPS + 1)
    found = []
    for net in (model, other):
        here = text.to(next(net.parameters()).device)
        logits, _ = net(here[:-1], net.initial_state(BATCH))
        losses(net).evaluation_loss(here[:-1], here[1:], net.initial_state(BATCH))[0].backward()
        found.append([logits.detach().cpu(), *(value.grad.cpu() for value in net.parameters())])
    for on_cpu, elsewhere in zip(*found, strict=True):
        torch.testing.assert_close(on_cpu, elsewhere, rtol=1e-6, atol=1e-9)


CHECKS: tuple[Callable[[Make], None], ...] = (
    check_shapes,
    check_step,
    check_evaluation,
    check_segments,
    check_losses,
    check_gates,
    check_units,
    check_saving,
    check_sparse,
    check_tangent,
    check_spectrum,
)


def check_model(make: Make) -> None:
    """Assert that a model keeps its contract, by every check above but `check_devices`."""
    for check in CHECKS:
        check(make)


def check_features(build: Callable[[Features], Any]) -> None:
    """Assert that a model which declares to read features does: shapes, a step, its derivative."""
    model = build(Features(3, 2)).eval()
    inputs = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(1))
    outputs, _ = model(inputs, model.initial_state(2))
    assert outputs.shape == (6, 2, 2), f"features (6, 2, 3) give outputs {tuple(outputs.shape)}"
    with torch.no_grad():
        _, after = model(inputs, model.initial_state(2))
        state = model.initial_state(2)
        for x_t in inputs:
            state = model.step(x_t, state)
    for own, other in zip(state, after, strict=True):
        assert torch.allclose(own, other, atol=1e-5), "step and forward end in different states"
    spectrum = lyapunov_spectrum(model, inputs, burn_in=1)
    assert bool(spectrum.exponents.isfinite().all()), "its spectrum is not finite"
