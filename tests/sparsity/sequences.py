"""Random sequences of what users do to a sparse network, and what must hold after each deed."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn.utils import parametrizations

from hyperprune.errors import SparsityNotice
from hyperprune.optim import SNTASGD
from hyperprune.sparsity import SparseTraining, TensorView
from hyperprune.sparsity.guard import REFUSED


class Noisy(optim.SGD):
    """Langevin dynamics, more or less: moves every weight, whatever its gradient."""

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        loss = super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.add_(torch.randn_like(parameter), alpha=1e-3)
        return loss


class Unmarked(optim.Optimizer):
    """Writes through `.data`, as old code does, and keeps a state that is never 0."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        if closure is not None:
            closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state.setdefault("size", torch.ones_like(parameter)).add_(0.1)
                if parameter.grad is not None:
                    parameter.data.add_(parameter.grad + 0.01, alpha=-group["lr"])


TORCHS = [
    kind
    for kind in vars(optim).values()
    if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
]
OPTIMIZERS = [kind for kind in TORCHS if kind not in REFUSED] + [SNTASGD, Noisy, Unmarked]
FRESH = {(optim.Rprop, "step_size"), (optim.Adagrad, "sum")}
"""State that does not begin at 0."""


def transposed(layer: nn.Linear) -> nn.Linear:
    layer.weight = nn.Parameter(layer.weight.detach().t().contiguous().t())
    return layer


class Net(nn.Module):
    """One of several small networks, with a head that may be left out of a step."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.embed = nn.Embedding(7, 4, sparse=kind == "sparse embedding")
        if kind == "conv":
            self.conv = nn.Conv2d(4, 4, (1, 2)).to(memory_format=torch.channels_last)
        self.body: nn.Module = nn.Linear(4, 6)
        if kind == "lstm":
            self.body = nn.LSTM(4, 6)
        elif kind == "cell":
            self.body = nn.GRUCell(4, 6)
        elif kind == "weight norm":
            self.body = parametrizations.weight_norm(nn.Linear(4, 6))
        elif kind == "old weight norm":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                self.body = nn.utils.weight_norm(nn.Linear(4, 6))
        elif kind == "spectral norm":
            self.body = parametrizations.spectral_norm(nn.Linear(4, 6))
        elif kind == "orthogonal":
            self.body = parametrizations.orthogonal(nn.Linear(4, 6))
        elif kind == "transposed":
            self.body = transposed(nn.Linear(4, 6))
        self.head = nn.Linear(6, 3)
        self.other = nn.Linear(6, 3)

    def forward(self, tokens: Tensor, other: bool) -> Tensor:
        x = self.embed(tokens)
        if self.kind == "conv":
            x = self.conv(x.t()[None, :, None, :])[0, :, 0].t()
        x = self.body(x)
        x = x[0] if isinstance(x, tuple) else x
        out: Tensor = self.head(x)
        return out + self.other(x) if other else out


KINDS = (
    "plain",
    "lstm",
    "cell",
    "sparse embedding",
    "weight norm",
    "old weight norm",
    "spectral norm",
    "orthogonal",
    "transposed",
    "conv",
)


def raising(view: TensorView) -> Tensor:
    raise ArithmeticError("a control that raises")


class Sequence:
    """A network, its optimiser and its engine, and the deeds that random users do to them."""

    def __init__(self, seed: int, optimizer: type[optim.Optimizer] | None = None) -> None:
        self.draw = random.Random(seed)
        torch.manual_seed(seed)
        self.kind = self.draw.choice(KINDS)
        self.only = optimizer
        self.model = Net(self.kind)
        self.optimizer = self.made(optimizer or self.draw.choice(OPTIMIZERS))
        self.sparse: SparseTraining | None = None
        self.saved: Any = None
        self.deeds: list[str] = []

    def made(self, kind: type[optim.Optimizer]) -> optim.Optimizer:
        parameters = list(self.model.parameters())
        if kind is getattr(optim, "Muon", None):
            parameters = [p for p in parameters if p.dim() == 2]
        settings: dict[str, Any] = {"lr": 1e-2}
        if kind in (optim.SGD, Noisy, optim.RMSprop) and self.draw.random() < 0.7:
            settings["momentum"] = 0.9
        if kind in (optim.SGD, optim.Adam, optim.RMSprop, optim.NAdam) and self.draw.random() < 0.5:
            settings["weight_decay"] = 1e-2
        if kind is optim.Adagrad:
            settings["initial_accumulator_value"] = self.draw.choice([0.0, 0.1])
        made: optim.Optimizer = kind(parameters, **settings)  # type: ignore[call-arg]
        if isinstance(made, SNTASGD):
            made.averaging = self.draw.random() < 0.7
        return made

    def run(self, deeds: int) -> None:
        for _ in range(deeds):
            deed: Callable[[], None] = self.draw.choice(
                [self.construct, self.step, self.step, self.step, self.step, *self.others()]
            )
            self.deeds.append(deed.__name__)
            deed()
            self.check()

    def others(self) -> list[Callable[[], None]]:
        return [
            self.by_hand,
            self.closure,
            self.prepare,
            self.skip,
            self.freeze,
            self.thaw,
            self.save,
            self.load,
            self.load_without_masks,
            self.copy,
            self.change_dtype,
            self.raise_in_a_control,
            self.swap_optimizer,
            self.write_weights,
            self.exchange_masks,
            self.second_optimizer,
            self.infinite_gradient,
            self.resume,
        ]

    # ── deeds ────────────────────────────────────────────────────────────────────────────────

    def backward(self) -> Tensor:
        tokens = torch.randint(7, (5,))
        self.model.zero_grad(set_to_none=self.draw.random() < 0.8)
        out = self.model(tokens, self.draw.random() < 0.5)
        loss: Tensor = out.float().square().mean() + out.float().sum() * 0.1
        if loss.requires_grad:
            loss.backward()
        return loss

    def construct(self) -> None:
        names = [["random", "gradient", "momentum"], ["magnitude", "global_magnitude", "taylor"]]
        frozen = [p for p in self.model.parameters() if not p.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_(True)
        self.sparse = SparseTraining(
            self.model,
            self.optimizer,
            density=self.draw.choice([0.2, 0.4, 0.7, 1.0]),
            init=self.draw.choice(["er", "uniform", "magnitude"]),
            growth=self.draw.choice(names[0]),
            removal=self.draw.choice([*names[1], "set", "random", "threshold"]),
            redistribution=self.draw.choice(["none", "momentum", "magnitude"]),
            regrown=self.draw.choice(["keep", "reset"]),
            removal_rate=self.draw.choice([0.3, 0.9]),
            every=self.draw.choice([None, 2]),
            total_steps=100,
            seed=self.draw.randrange(100),
        )
        self.total = sum(self.sparse.counts().values())

    def step(self) -> None:
        if self.sparse is None and self.kind == "sparse embedding":
            return  # most optimisers refuse its gradients as they are
        self.backward()
        if self.sparse is None:
            self.optimizer.step()
        else:
            self.sparse.step(update=self.draw.choice([None, True, False]))

    def closure(self) -> None:
        if self.sparse is None:
            return
        steps = self.sparse.steps
        self.sparse.step(self.backward, update=self.draw.choice([None, True]))
        assert self.sparse.steps == steps + 1

    def by_hand(self) -> None:
        if self.sparse is None and self.kind == "sparse embedding":
            return
        self.backward()
        if self.draw.random() < 0.5:
            self.optimizer.step()
        else:
            self.optimizer.step(self.backward)  # type: ignore[arg-type]

    def prepare(self) -> None:
        """Somebody else's loop."""
        if self.sparse is not None:
            self.backward()
            self.sparse.prepare(update=self.draw.choice([None, True]))
            self.optimizer.step()

    def skip(self) -> None:
        self.backward()
        self.optimizer.zero_grad()

    def freeze(self) -> None:
        chosen = self.draw.choice(list(self.model.parameters()))
        if sum(p.requires_grad for p in self.model.parameters()) > 2:
            chosen.requires_grad_(False)
            chosen.grad = None

    def thaw(self) -> None:
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)

    def save(self) -> None:
        if self.sparse is None:
            return
        self.saved = (
            self.sparse,
            copy.deepcopy(self.model.state_dict()),
            self.optimizer,
            copy.deepcopy(self.optimizer.state_dict()),
            self.sparse.state_dict(),
            self.total,
        )

    def load(self) -> None:
        if self.saved is None or self.saved[0] is not self.sparse:
            return
        _, model, optimizer, state, sparse, self.total = self.saved
        self.model.load_state_dict(model)
        if optimizer is self.optimizer:
            self.optimizer.load_state_dict(copy.deepcopy(state))
        assert self.sparse is not None
        self.sparse.load_state_dict(*sparse)
        for name, mask in self.sparse.masks.items():
            assert torch.equal(mask, sparse[0][f"mask.{name}"])

    def load_without_masks(self) -> None:
        """Weights and state from before the masks last moved; the next step puts that right."""
        if self.saved is None or self.saved[0] is not self.sparse:
            return
        _, model, optimizer, state, _, _ = self.saved
        self.model.load_state_dict(model)
        if optimizer is self.optimizer:
            self.optimizer.load_state_dict(copy.deepcopy(state))
        self.backward()
        assert self.sparse is not None
        self.sparse.step(update=False)

    def copy(self) -> None:
        if self.kind == "old weight norm":
            return  # torch refuses
        before = self.sparse.masks if self.sparse is not None else {}
        self.model, self.optimizer, self.sparse = copy.deepcopy(
            (self.model, self.optimizer, self.sparse)
        )
        self.saved = None
        for name, mask in before.items():
            assert self.sparse is not None
            assert torch.equal(mask, self.sparse.masks[name])

    def change_dtype(self) -> None:
        """The optimiser keeps the old dtype, which few can live with: it is made anew."""
        if self.kind == "orthogonal":
            return
        self.model.to(self.draw.choice([torch.float32, torch.float64, torch.bfloat16]))
        self.optimizer.zero_grad()
        self.saved = None
        self.swap_optimizer()

    def raise_in_a_control(self) -> None:
        if self.sparse is None:
            return
        self.backward()
        method = self.sparse.method
        where = self.draw.choice(["growth", "removal", "redistribution"])
        broken = copy.copy(method)
        object.__setattr__(broken, where, type(method.growth)(where, "raising", raising))
        self.sparse.method = broken
        before = self.everything()
        try:
            self.sparse.step(update=True)
        except ArithmeticError:
            after = self.everything()
            assert before.keys() == after.keys()
            for name, tensor in before.items():
                assert torch.equal(tensor, after[name]), name
        finally:
            self.sparse.method = method

    def everything(self) -> dict[str, Tensor]:
        assert self.sparse is not None
        found = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        tensors, _ = self.sparse.state_dict()
        found |= {name: t for name, t in tensors.items() if not name.startswith("average.")}
        for number, parameter in enumerate(self.model.parameters()):
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    found[f"{number}.{key}"] = value.clone()
        return found

    def swap_optimizer(self) -> None:
        self.optimizer = self.made(self.only or self.draw.choice(OPTIMIZERS))
        if self.sparse is not None:
            self.sparse.optimizer = self.optimizer

    def write_weights(self) -> None:
        if self.sparse is None:
            return
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(0.1)
        if self.draw.random() < 0.5:
            self.sparse.apply_masks()
        else:
            self.step()

    def exchange_masks(self) -> None:
        if self.sparse is None:
            return
        torch.manual_seed(self.draw.randrange(100))
        self.sparse.load_masks(self.sparse.masks)

    def second_optimizer(self) -> None:
        """Another optimiser of the same weights, stepped by hand after the engine's own step."""
        if self.sparse is None:
            return
        other = self.made(self.only or self.draw.choice(OPTIMIZERS))
        self.sparse.guard(other)
        self.step()
        other.step(*[self.backward] if self.draw.random() < 0.5 else [])  # type: ignore[arg-type]

    def infinite_gradient(self) -> None:
        """NaN and infinite gradients where no weight is active."""
        if self.sparse is None:
            return
        self.backward()
        for name, mask in self.sparse.masks.items():
            gradient = self.model.get_parameter(name).grad
            if gradient is not None and gradient.layout == torch.strided:
                gradient[~mask] = self.draw.choice([float("nan"), float("inf")])
        self.sparse.step(update=False)

    def resume(self) -> None:
        """Another engine, made from the masks of the first or from the zeros it left."""
        if self.sparse is None or not all(p.requires_grad for p in self.model.parameters()):
            return
        masks = self.sparse.masks
        self.sparse = SparseTraining.resume(
            self.model, self.optimizer, masks=masks, growth="gradient", removal="magnitude"
        )
        assert sum(self.sparse.counts().values()) == self.total
        for name, mask in masks.items():
            assert torch.equal(mask, self.sparse.masks[name])

    # ── what must hold ───────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        if self.sparse is None:
            return
        sparse = self.sparse
        assert sum(sparse.counts().values()) == self.total
        for tensor in sparse._tensors:
            name, mask = tensor.name, tensor.mask
            weight = self.model.get_parameter(name)
            assert weight is tensor.parameter
            assert tensor.active == int(mask.sum()) >= tensor.least
            assert weight.isfinite().all(), name
            assert not weight.detach()[~mask].any(), name
            if tensor.along == 0:
                assert mask.any(1).all(), name
            for optimizer in [guard.optimizer for guard in sparse._guards]:
                for key, value in optimizer.state.get(weight, {}).items():
                    if isinstance(value, Tensor) and value.shape == mask.shape:
                        self.check_state(optimizer, key, value[~mask], name)
        if isinstance(self.optimizer, SNTASGD):
            with self.optimizer.averaged():
                for name, mask in sparse.masks.items():
                    assert not self.model.get_parameter(name).detach()[~mask].any()

    def check_state(self, optimizer: optim.Optimizer, key: str, outside: Tensor, name: str) -> None:
        if not outside.is_floating_point():
            return
        settings = optimizer.param_groups[0]
        fresh = 0.0
        if isinstance(optimizer, optim.Rprop) and key == "step_size":
            fresh = settings["lr"]
        if isinstance(optimizer, optim.Adagrad) and key == "sum":
            fresh = settings["initial_accumulator_value"]
        expected = torch.full_like(outside, fresh)
        assert torch.equal(outside, expected), f"{type(optimizer).__name__} {key} of {name}"


def run(seed: int, deeds: int = 12, optimizer: type[optim.Optimizer] | None = None) -> None:
    """One sequence; an AssertionError says which, and what was done."""
    sequence = Sequence(seed, optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SparsityNotice)
        try:
            sequence.run(deeds)
        except Exception as error:
            raise AssertionError(
                f"seed {seed}, {sequence.kind}, {type(sequence.optimizer).__name__}, "
                f"{sequence.deeds}: {error!r}"
            ) from error
