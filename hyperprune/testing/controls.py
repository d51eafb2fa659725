"""The suite that every control passes, built-in or a plugin's: `check_control("growth", mine)`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.plugins import registry
from hyperprune.recipe.records import Prune
from hyperprune.sparsity import SparseTraining, TensorView

DENSITIES = (0.08, 0.5, 1.0)
STEPS = 7


class TinyNetwork(nn.Module):
    """Weights of awkward shapes: one stacks gates, one has a single row, one a single weight."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        shapes = {"stacked": (8, 5), "plain": (6, 4), "row": (1, 9), "single": (1, 1)}
        for name, shape in shapes.items():
            setattr(self, name, nn.Parameter(torch.randn(shape, generator=draw)))
        self.bias = nn.Parameter(torch.randn(6, generator=draw))

    def gates(self) -> dict[str, tuple[str, ...]]:
        """Gate names of the stacked weight."""
        return {"stacked": ("input", "forget", "cell", "output")}


def random_gradient(parameter: Tensor, step: int) -> Tensor:
    """A gradient that depends on the step alone."""
    return torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step))


def zero_gradient(parameter: Tensor, step: int) -> Tensor:
    """What dead units and a batch without their inputs leave."""
    return torch.zeros_like(parameter)


def check_control(kind: str, control: Callable[..., Any]) -> None:
    """Assert that a control of a kind keeps its contract; options take their defaults.

    Schedules must answer rates in [0, 1], presets valid `[prune]` keys. All others train a tiny
    network at several densities, with random and with zero gradients: active counts stay exact,
    inactive weights 0, no tensor empties, nothing is NaN, the control writes to nothing it is
    shown, and a second run is equal to the first.
    """
    if kind == "schedule":
        check_schedule(control)
    elif kind == "preset":
        check_preset(control)
    else:
        for density, gradient in itertools.product(DENSITIES, (random_gradient, zero_gradient)):
            first = train(kind, control, density, gradient)
            second = train(kind, control, density, gradient)
            for name, weight in first.items():
                assert torch.equal(weight, second[name]), f"{name} differs between equal runs"


def check_schedule(rate: Callable[[float, float], float]) -> None:
    """Assert that a schedule's rates are in [0, 1] wherever training is and wherever it starts."""
    for progress, start in itertools.product((0.0, 0.1, 0.5, 0.999, 1.0), (0.01, 0.5, 1.0)):
        answer = rate(progress, start)
        assert 0 <= answer <= 1, f"rate {answer} at progress {progress} from {start}"
        assert answer == rate(progress, start), "a schedule depends on its arguments alone"


def check_preset(expand: Callable[[], dict[str, Any]]) -> None:
    """Assert that a preset's keys are `[prune]`'s and that the controls it names are installed."""
    prune = Prune.model_validate(expand())
    for kind in ("init", "removal", "growth", "redistribution", "schedule"):
        choice = getattr(prune, kind)
        registry().bind(kind, choice.name, choice.options)
    assert prune.preset is None, "a preset cannot name another"


def train(
    kind: str,
    control: Callable[..., Any],
    density: float,
    gradient: Callable[[Tensor, int], Tensor],
) -> dict[str, Tensor]:
    """Train the tiny network with the control in its place; return its weights and masks."""
    network = TinyNetwork()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    chosen: dict[str, Any] = {kind: watched(control)}
    sparse = SparseTraining(
        network,
        optimizer,
        density=density,
        every=2,
        total_steps=STEPS,
        gradients=lambda: {n: gradient(p, 99) for n, p in network.named_parameters()},
        **chosen,
    )
    total = round(density * sum(mask.numel() for mask in sparse.masks.values()))
    for step in range(STEPS):
        for parameter in network.parameters():
            parameter.grad = gradient(parameter, step)
        sparse.step()
        counts = sparse.counts()
        assert sum(counts.values()) == total, f"{counts} add up to another number than {total}"
        assert min(counts.values()) > 0, f"a tensor is empty: {counts}"
        for name, mask in sparse.masks.items():
            weight = network.get_parameter(name)
            assert not weight.isnan().any(), f"{name} has NaN"
            assert not weight[~mask].any(), f"{name} has inactive weights that are not 0"
            momentum = optimizer.state[weight]["momentum_buffer"]
            assert not momentum[~mask].any(), f"{name} has momentum where it has no weights"
    weights = {name: p.detach().clone() for name, p in network.named_parameters()}
    return weights | {f"mask of {name}": mask.clone() for name, mask in sparse.masks.items()}


def watched(control: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a control to assert that it leaves what it is shown as it was."""

    def call(view: TensorView) -> Any:
        shown = [view.weight, view.mask, view.ever_active]
        copies = [tensor.clone() for tensor in shown]
        answer = control(view)
        for tensor, copy in zip(shown, copies, strict=True):
            assert torch.equal(tensor, copy), "a control writes to what it is shown"
        return answer

    declared = getattr(control, "func", control)
    call.__dict__.update(vars(declared))
    call.__name__ = getattr(declared, "__name__", type(declared).__name__)
    return call
