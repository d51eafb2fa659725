"""One training loop, dense or sparse: an epoch at a time, its metrics as values."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.corpus import batchify
from hyperprune.errors import Diverged, RunError
from hyperprune.model import State, detach, losses
from hyperprune.optim import Optimizer
from hyperprune.optim.learning_rate import LearningRate
from hyperprune.runtime.seeds import derive, seeded
from hyperprune.sparsity import SparseTraining

EXPLODED = 2.0
"""A validation loss above this multiple of ln V, a uniform guess's, counts as diverged."""


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch came to. Losses are nats per token; validation is of the weights that would be
    saved (averages, once averaging runs)."""

    epoch: int
    train_loss: float
    valid_loss: float
    averaging: bool


@dataclass(frozen=True)
class Segments:
    """How the text is cut for truncated back-propagation."""

    batch: int
    bptt: int
    variable: bool = False
    longest: int = 0  # 0: bptt + 20, the published bound

    def of_epoch(self, length: int, seed: int) -> Iterator[tuple[int, int]]:
        """Yield (start, length) of each segment; drawn lengths follow Merity et al. 2018, §5."""
        draw = random.Random(seed)
        start = 0
        while start < length - 1:
            size = self.bptt
            if self.variable:
                base = self.bptt if draw.random() < 0.95 else self.bptt / 2
                size = max(5, int(draw.gauss(base, 5)))
                size = min(size, self.longest or self.bptt + 20)
            size = min(size, length - 1 - start)
            yield start, size
            start += size


class Trainer:
    """Trains one network; `epoch` counts finished epochs.

    The topology changes before the first optimiser step of an epoch (or before every k-th step), so
    that the network measured after an epoch is the one the checkpoint holds, and no change is ever
    left untrained at the end.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        train: Tensor,
        valid: Tensor,
        *,
        segments: Segments,
        epochs: int,
        clip: float,
        seed: int,
        sparse: SparseTraining | None = None,
        update: str | int = "epoch",
        finetune: Collection[int] = (),
        eval_batch: int = 10,
        micro_batch: int = 0,
        precision: str = "float32",
        vocabulary: int = 0,
        rate: LearningRate | None = None,
    ) -> None:
        self.model, self.optimizer, self.sparse = model, optimizer, sparse
        self.device = next(model.parameters()).device
        self.train_text = batchify(train, segments.batch).to(self.device)  # (steps, B)
        self.valid_text = batchify(valid, eval_batch).to(self.device)
        self.segments, self.epochs, self.clip, self.seed = segments, epochs, clip, seed
        self.update, self.finetune = update, finetune
        self.rows = micro_batch or segments.batch
        self.precision = precision
        self.rate = rate or LearningRate(epochs=epochs)
        self.valid_losses: list[float] = []
        self.bound = EXPLODED * math.log(vocabulary) if vocabulary > 1 else math.inf
        self.epoch = 0
        self.global_step = 0

    def run_epoch(
        self, on_step: Callable[[int, int], None] = lambda step, steps: None
    ) -> EpochMetrics:
        """Train one epoch and validate; `on_step(done, expected)` follows each step.

        Raises Diverged when a loss is no longer finite or the validation loss explodes.
        """
        length = self.train_text.shape[0]
        plan = list(self.segments.of_epoch(length, derive(self.seed, "segments", self.epoch)))
        states = [self._initial(rows.stop - rows.start) for rows in self._rows()]
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        self.model.train()
        with seeded(derive(self.seed, "dropout", self.epoch), self.device):
            for step, (start, size) in enumerate(plan):
                nll = self._accumulate(start, size, states)
                total += nll.double() * size
                if not step % 50 and not math.isfinite(float(total)):
                    raise Diverged(f"the training loss is {float(nll)} in epoch {self.epoch + 1}")
                self._step(step, len(plan), size)
                on_step(step + 1, len(plan))
        train_loss = float(total) / (length - 1)
        valid_loss = self.evaluate(self.valid_text)
        self.epoch += 1
        for name, loss in (("training", train_loss), ("validation", valid_loss)):
            if not math.isfinite(loss) or loss > self.bound:
                raise Diverged(
                    f"the {name} loss is {loss:.4g} nats per token in epoch {self.epoch}"
                )
        self.valid_losses.append(valid_loss)
        self.optimizer.observe(valid_loss)
        if self.epoch in self.finetune:
            self.optimizer.restart()
        return EpochMetrics(self.epoch, train_loss, valid_loss, self.optimizer.averaging)

    def gradients(self) -> dict[str, Tensor]:
        """Dense gradients of the first segment, for initialisations that score by them."""
        states = [self._initial(rows.stop - rows.start) for rows in self._rows()]
        size = min(self.segments.bptt, self.train_text.shape[0] - 1)
        self.model.train()
        with seeded(derive(self.seed, "first gradients"), self.device):
            self._accumulate(0, size, states)
        named = self.model.named_parameters()
        found = {name: p.grad.detach().clone() for name, p in named if p.grad is not None}
        self.optimizer.zero_grad(set_to_none=True)
        return found

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that going on to the bit needs: (tensors by flat name, JSON values)."""
        tensors = {f"model/{name}": p.detach() for name, p in self.model.named_parameters()}
        tensors |= {f"buffer/{name}": buffer for name, buffer in self.model.named_buffers()}
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "global_step": self.global_step,
            "valid_losses": list(self.valid_losses),
        }
        for part, owner in self._stateful():
            held, values[part] = owner()
            tensors |= {f"{part}/{name}": tensor for name, tensor in held.items()}
        return tensors, values

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on from `state`'s answer; raises RunError where it is another network's."""

        def held(part: str) -> dict[str, Tensor]:
            found = ((name.partition("/"), tensor) for name, tensor in tensors.items())
            return {name: tensor for (kind, _, name), tensor in found if kind == part}

        copy_into(self.model.named_parameters(), held("model"))
        copy_into(self.model.named_buffers(), held("buffer"))
        self.optimizer.load_flat_state(held("optimizer"), values["optimizer"])
        if self.sparse is not None:
            self.sparse.load_state_dict(held("sparse"), values["sparse"])
        self.epoch, self.global_step = int(values["epoch"]), int(values["global_step"])
        self.valid_losses = [float(loss) for loss in values["valid_losses"]]

    def _stateful(self) -> Iterator[tuple[str, Callable[[], tuple[dict[str, Tensor], Any]]]]:
        yield "optimizer", self.optimizer.flat_state
        if self.sparse is not None:
            yield "sparse", self.sparse.state_dict

    def _rows(self) -> list[slice]:
        batch = self.segments.batch
        return [slice(i, min(i + self.rows, batch)) for i in range(0, batch, self.rows)]

    def _initial(self, batch: int) -> State:
        state: State = self.model.initial_state(batch)  # type: ignore[operator]
        return state

    def _accumulate(self, start: int, size: int, states: list[State]) -> Tensor:
        """Back-propagate one segment in micro-batches of rows; mean loss (nats per token), detached."""
        self.optimizer.zero_grad(set_to_none=True)
        network = losses(self.model)
        nll = torch.zeros((), device=self.device)
        for part, rows in enumerate(self._rows()):
            tokens = self.train_text[start : start + size, rows]  # (T, b)
            targets = self.train_text[start + 1 : start + 1 + size, rows]  # (T, b)
            share = tokens.shape[1] / self.segments.batch
            with self._autocast():
                loss, part_nll, state = network.training_loss(tokens, targets, detach(states[part]))
            (loss * share).backward()
            states[part] = detach(state)
            nll += part_nll.detach().float() * share
        return nll

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _step(self, step: int, steps: int, size: int) -> None:
        """Clip, change the topology when due, and take one optimiser step."""
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        factor = self.rate.factor(self.epoch + (step + 0.5) / steps, self.valid_losses)
        if self.segments.variable:
            factor *= size / self.segments.bptt
        with self.optimizer.rescaled(factor):
            if self.sparse is None:
                self.optimizer.step()
            else:
                progress = (self.epoch + step / steps) / self.epochs
                self.sparse.step(update=self._due(step), progress=progress)
        self.global_step += 1

    def _due(self, step: int) -> bool:
        """Whether the recipe's rhythm asks for an update; the engine knows when to stop."""
        if self.update == "never":
            return False
        if self.update == "epoch":
            return step == 0 and self.epoch > 0
        return self.global_step > 0 and self.global_step % int(self.update) == 0

    @torch.no_grad()
    def evaluate(self, text: Tensor) -> float:
        """Mean negative log likelihood of a text (steps, B), nats per token, of the saved weights."""
        network = losses(self.model)
        self.model.eval()
        state = self._initial(text.shape[1])
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        length = text.shape[0] - 1
        with self.optimizer.averaged():
            for start in range(0, length, self.segments.bptt):
                size = min(self.segments.bptt, length - start)
                tokens, targets = text[start : start + size], text[start + 1 : start + 1 + size]
                with self._autocast():
                    nll, state = network.evaluation_loss(tokens, targets, state)
                total += nll.double() * size
        return float(total) / length


@torch.no_grad()
def copy_into(named: Iterable[tuple[str, Tensor]], saved: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into a network's; raises RunError where names or shapes differ."""
    for name, own in named:
        found = saved.get(name)
        if found is None or found.shape != own.shape:
            shape = "nothing" if found is None else tuple(found.shape)
            raise RunError(f"saved {name}: found {shape}, expected {tuple(own.shape)}")
        own.copy_(found)
