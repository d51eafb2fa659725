"""One training loop, dense or sparse: an epoch at a time, its metrics as values."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.errors import Diverged, RunError
from hyperprune.model import State, detach
from hyperprune.optim import Optimizer
from hyperprune.optim.learning_rate import LearningRate
from hyperprune.runtime.clock import Clock
from hyperprune.runtime.clock import part as in_part
from hyperprune.runtime.seeds import derive, seeded
from hyperprune.sparsity import SparseTraining
from hyperprune.task import Batch, Batches, Cut, Evaluation, Split, Task
from hyperprune.terms.metric import tidy


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch came to. Losses are in the task's unit; validation is of the weights that would
    be saved (averages, once averaging runs)."""

    epoch: int
    train_loss: float
    valid_loss: float
    averaging: bool
    valid_cost: float | None = None  # where the metric does not tell the validation loss


class Trainer:
    """Trains one network; `epoch` counts finished epochs.

    The topology changes before the first optimiser step of an epoch (or before every k-th step), so
    that the network measured after an epoch is the one the checkpoint holds, and no change is ever
    left untrained at the end. Within `hold` losses and gradients are taken, and weights saved: of weights
    as eight bits hold them, for instance (`training.int8.held`).
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        task: Task,
        *,
        cut: Cut,
        epochs: int,
        clip: float,
        seed: int,
        sparse: SparseTraining | None = None,
        update: str | int = "epoch",
        finetune: Collection[int] = (),
        eval_batch: int = 10,
        micro_batch: int = 0,
        precision: str = "float32",
        rate: LearningRate | None = None,
        hold: Callable[[nn.Module], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.model, self.optimizer, self.sparse = model, optimizer, sparse
        self.device = next(model.parameters()).device
        self.task, self.cut, self.eval_batch = task, cut, eval_batch
        self.epochs, self.clip, self.seed = epochs, clip, seed
        self.update, self.finetune = update, finetune
        self.rows = micro_batch or cut.batch
        self.precision = precision
        self.rate = rate or LearningRate(epochs=epochs)
        self.hold = hold
        self.valid_losses: list[float] = []
        self.clock: Clock | None = None
        self.epoch = 0
        self.global_step = 0

    def run_epoch(
        self, on_step: Callable[[int, int], None] = lambda step, steps: None
    ) -> EpochMetrics:
        """Train one epoch and validate; `on_step(done, expected)` follows each step.

        Raises Diverged when a loss is no longer finite or the validation loss explodes.
        """
        batches = self.task.epoch(self.cut, derive(self.seed, "segments", self.epoch))
        states: list[State] = []
        weight, total = 0, torch.zeros((), dtype=torch.float64, device=self.device)
        self.model.train()
        with seeded(derive(self.seed, "dropout", self.epoch), self.device):
            for step, batch in enumerate(batches):
                states = self._begin(batch) if batch.begins else states
                mean = self._accumulate(batch, states)
                total += mean.double() * batch.weight
                weight += batch.weight
                if not step % 50 and not math.isfinite(float(total)):
                    raise Diverged(f"the training loss is {float(mean)} in epoch {self.epoch + 1}")
                self._step(step, len(batches), batch.rate)
                on_step(step + 1, len(batches))
        train_loss = float(total) / weight
        with in_part(self.clock, "evaluation"):
            valid_loss, cost = self.evaluate(self.heldout("valid"))
        self.epoch += 1
        for name, loss in (("training", train_loss), ("validation", valid_loss)):
            if not math.isfinite(loss) or loss > self.task.bound:
                bound = f" (above {self.task.bound:.4g})" if math.isfinite(loss) else ""
                raise Diverged(
                    f"the {name} loss is {loss:.4g} {self.task.unit} in epoch {self.epoch}{bound}"
                )
        self.valid_losses.append(valid_loss)
        self.optimizer.observe(valid_loss)
        if self.epoch in self.finetune:
            self.optimizer.restart()
        return EpochMetrics(self.epoch, train_loss, valid_loss, self.optimizer.averaging, cost)

    def time_with(self, clock: Clock) -> None:
        """Count the time of every later epoch by part; the optimiser's lies within the masking's."""
        self.clock = clock
        self.optimizer.register_step_pre_hook(lambda *_: clock.enter("optimiser"))
        self.optimizer.register_step_post_hook(lambda *_: clock.leave())

    def rehearse(self, batch: Batch) -> None:
        """Take one step on a batch from zero states, to see how long it takes."""
        self.model.train()
        with seeded(derive(self.seed, "rehearsal"), self.device):
            self._accumulate(batch, self._begin(batch))
            self._step(0, 1, batch.rate)

    def gradients(self) -> dict[str, Tensor]:
        """Dense gradients of the first batch, for initialisations that score by them."""
        even = Cut(self.cut.batch, self.cut.bptt)
        batch = next(iter(self.task.epoch(even, derive(self.seed, "segments", 0))))
        self.model.train()
        with seeded(derive(self.seed, "first gradients"), self.device):
            self._accumulate(batch, self._begin(batch))
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

    def heldout(self, split: Split, batch: int = 0) -> Batches:
        """The batches of a held-out split, `eval_batch` sequences side by side unless said."""
        return self.task.heldout(Cut(batch or self.eval_batch, self.cut.bptt), split)

    def _rows(self, width: int) -> list[slice]:
        return [slice(i, min(i + self.rows, width)) for i in range(0, width, self.rows)]

    def _begin(self, batch: Batch) -> list[State]:
        """Zero states, one for each micro-batch of rows."""
        return [self._initial(rows.stop - rows.start) for rows in self._rows(batch.width)]

    def _initial(self, batch: int) -> State:
        state: State = self.model.initial_state(batch)  # type: ignore[operator]
        return state

    def _accumulate(self, batch: Batch, states: list[State]) -> Tensor:
        """Back-propagate one batch in micro-batches of rows; its mean loss, detached."""
        self.optimizer.zero_grad(set_to_none=True)
        batch = batch.to(self.device)
        mean = torch.zeros((), device=self.device)
        with self._held():
            for number, rows in enumerate(self._rows(batch.width)):
                part = batch.rows(rows)
                share = sum(part.scored) / sum(batch.scored)
                with in_part(self.clock, "forward"), self._autocast():
                    loss, part_mean, state = self.task.training_loss(
                        self.model, part, detach(states[number])
                    )
                with in_part(self.clock, "backward"):
                    (loss * share).backward()
                states[number] = detach(state)
                mean += part_mean.detach().float() * share
        return mean

    def _held(self) -> AbstractContextManager[None]:
        return nullcontext() if self.hold is None else self.hold(self.model)

    @contextmanager
    def as_saved(self) -> Iterator[None]:
        """Within the block the network has the weights that would be saved: averages, once they run."""
        with self.optimizer.averaged(), self._held():
            yield

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _step(self, step: int, steps: int, rate: float) -> None:
        """Clip, change the topology when due, and take one optimiser step."""
        if self.clip:
            with in_part(self.clock, "optimiser"):
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        factor = self.rate.factor(self.epoch + (step + 0.5) / steps, self.valid_losses) * rate
        with self.optimizer.rescaled(factor):
            if self.sparse is None:
                self.optimizer.step()
            else:
                progress = (self.epoch + step / steps) / self.epochs
                with in_part(self.clock, "masking"):
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
    def evaluate(self, batches: Iterable[Batch]) -> Evaluation:
        """Mean loss of held-out batches by the saved weights, and the cost where it is another."""
        self.model.eval()
        state: State = ()
        weight, total = 0, torch.zeros(2, dtype=torch.float64, device=self.device)
        costly = False
        with self.as_saved():
            for batch in batches:
                state = self._initial(batch.width) if batch.begins else state
                with self._autocast():
                    loss, cost, state = self.task.evaluation_loss(
                        self.model, batch.to(self.device), state
                    )
                total[0] += loss.double() * batch.weight
                if cost is not None:
                    costly = True
                    total[1] += cost.double() * batch.weight
                weight += batch.weight
        mean, cost_mean = (float(part) / weight for part in total)
        return Evaluation(mean, tidy(cost_mean) if costly else None)


@torch.no_grad()
def copy_into(named: Iterable[tuple[str, Tensor]], saved: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into a network's; raises RunError where names or shapes differ."""
    for name, own in named:
        found = saved.get(name)
        if found is None or found.shape != own.shape:
            shape = "nothing" if found is None else tuple(found.shape)
            raise RunError(f"saved {name}: found {shape}, expected {tuple(own.shape)}")
        own.copy_(found)
