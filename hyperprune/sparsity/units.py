"""Hidden units that move as one: a unit with its rows in every gate and its columns wherever it is read.

A weight stays where the units at both of its ends are active, so that what is left is a narrower
network: `export --shrink` cuts it out. Where units stand, a model says (`hyperprune.model.Units`).
Counts are of units, layer by layer; nothing moves between layers. A salience is pooled by its mean
over what joins a unit to active ones: all of its rows and columns, of which weights that join it to itself
are both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.errors import SparsityError
from hyperprune.model import Place, Units, unwrapped
from hyperprune.sparsity.allocate import active_total
from hyperprune.sparsity.masked import Masked
from hyperprune.sparsity.topk import choose, highest
from hyperprune.sparsity.update import Change, Control, grow, remove
from hyperprune.sparsity.view import TensorView

Lots = Callable[[str], torch.Generator]
"""The generator of a layer's lots, by its name."""
Active = Mapping[str, Tensor]
"""Which units (size,) of each layer are active."""


@dataclass(frozen=True)
class Pooled(Control):
    """A control whose saliences of a layer's units are known."""

    pooled: Tensor

    def ranked(self, view: TensorView, count: int, among: Tensor) -> Tensor:
        """The saliences (size,)."""
        return self.pooled


@dataclass(frozen=True)
class UnitBlocks:
    """The layers of a network whose units move, and the masked tensors that they stand in."""

    tensors: Sequence[Masked]
    layers: Mapping[str, Units]

    @classmethod
    def of(cls, model: nn.Module, tensors: Sequence[Masked]) -> UnitBlocks | None:
        """Layers of what a model says of its units; None where it says nothing.

        Only those with a bias: without one a unit whose weights are all 0 has no gradient and could
        never come back, so that the embedding of an untied network stays as it is. Raises SparsityError
        where there are no others, PluginError where the model says that none can go.
        """
        inner: Any = unwrapped(model)
        if not hasattr(inner, "units"):
            return None
        biases = {name for name, p in inner.named_parameters() if p.dim() == 1}
        masked = {tensor.name for tensor in tensors}
        found = {}
        for name, units in inner.units().items():
            places = tuple(place for place in units.places if place.weight in masked)
            wakes = not units.silent and any(place.weight in biases for place in units.places)
            if places and wakes:
                found[name] = Units(units.size, places)
        if not found:
            raise SparsityError(
                'block = "units": no unit of this network could move, since one without weights needs a '
                "bias to come back, and some of its weights must be masked"
            )
        return cls(tensors, found)

    @property
    def size(self) -> int:
        """How many units there are."""
        return sum(units.size for units in self.layers.values())

    def keeps(self, name: str, density: float) -> int:
        """Units of a layer that are active at a density: never none."""
        return max(1, active_total(density, [self.layers[name].size]))

    def total(self, density: float) -> int:
        """Active units of all layers at a density."""
        return sum(self.keeps(name, density) for name in self.layers)

    def masks(self, active: Active) -> list[Tensor]:
        """The tensors' masks: weights with an active unit, or nobody's row or column, at both ends."""
        ends = [self._ends(active, dim) for dim in (0, 1)]
        found = []
        for tensor in self.tensors:
            mask = torch.ones_like(tensor.mask)
            for dim, by_name in enumerate(ends):
                wide = [1] * mask.dim()
                wide[dim] = mask.shape[dim]
                mask &= by_name[tensor.name].view(wide)
            found.append(mask)
        return found

    def active(self, masks: Sequence[Tensor]) -> dict[str, Tensor]:
        """Units of each layer with an active weight."""
        by_name = dict(zip((tensor.name for tensor in self.tensors), masks, strict=True))
        return {
            name: torch.stack(
                [
                    _of_units(by_name[p.weight].movedim(p.dim, 0).any(1), p, units.size).any(0)
                    for p in units.places
                ]
            ).any(0)
            for name, units in self.layers.items()
        }

    def now(self) -> dict[str, Tensor]:
        """Units that are active now."""
        return self.active([tensor.mask for tensor in self.tensors])

    def first(
        self, views: Sequence[TensorView], density: float, init: Control, lots: Lots
    ) -> list[Tensor]:
        """First masks: the highest of each layer where the initialisation ranks, else by lot."""
        answers = [init.function(view) for view in views]
        every = {name: views[0].mask.new_ones(units.size) for name, units in self.layers.items()}
        pooled: Mapping[str, Tensor] = {}
        if all(isinstance(answer, Tensor) and answer.dim() > 1 for answer in answers):
            pairs = zip(views, answers, strict=True)
            pooled = self._pool(init, {v.name: init.checked(v, a) for v, a in pairs}, every)
        chosen = {}
        for name, free in every.items():
            count, lot = self.keeps(name, density), lots(name)
            ranked = pooled.get(name)
            chosen[name] = (
                choose(free, count, lot) if ranked is None else highest(ranked, free, count, lot)
            )
        return self.masks(chosen)

    def planned(
        self,
        before: Sequence[TensorView],
        after: Sequence[TensorView],
        controls: tuple[Control, Control, Control],
        rate: float,
        shrink: int,
        threshold: float,
        density: float,
        lots: tuple[Lots, Lots],
    ) -> Change:
        """An update of the units all of whose weights are among the views; nothing is written.

        Where nothing is to `shrink`, each layer keeps as many as it has.
        """
        removal, _, growth = controls
        own = {view.name for view in before}
        free = [n for n, units in self.layers.items() if own >= {p.weight for p in units.places}]
        active = self.now()
        at_stake = [replace(v, count=math.ceil(rate * int(v.mask.count_nonzero()))) for v in before]
        saliences = {v.name: removal.salience(v) for v in at_stake}
        pooled = self._pool(removal, saliences, active, free)
        left, wanted, thresholds = dict(active), {}, [threshold]
        for name in free:
            had = int(active[name].count_nonzero())
            surplus = had - self.keeps(name, density) if shrink else 0
            layer = _view(name, active[name], density, lots[0](name))
            ranked = Pooled(removal.kind, removal.name, removal.function, pooled[name])
            (lost,), moved = remove([layer], ranked, rate, surplus, threshold)
            thresholds.append(moved)
            left[name] = active[name] & ~lost
            wanted[name] = max(0, int(lost.count_nonzero()) - surplus)
        bare = self._of(own, self.masks(left))
        shown = [
            replace(v, mask=m, weight=v.weight.masked_fill(~m, 0), count=int((v.mask & ~m).sum()))
            for v, m in zip(after, bare, strict=True)
        ]
        grown = dict(left)
        if any(wanted.values()):
            pooled = self._pool(growth, {v.name: growth.salience(v) for v in shown}, left, free)
            for name in free:
                layer = _view(name, left[name], density, lots[1](name))
                ranked = Pooled(growth.kind, growth.name, growth.function, pooled[name])
                (new,) = grow([layer], ranked, [wanted[name]])
                grown[name] = left[name] | new
        last = self._of(own, self.masks(grown))
        return Change(
            [view.mask & ~mask for view, mask in zip(before, bare, strict=True)],
            [mask & ~kept for mask, kept in zip(last, bare, strict=True)],
            statistics.median_low(thresholds[1:] or thresholds),
        )

    def _of(self, names: set[str], masks: Sequence[Tensor]) -> list[Tensor]:
        return [m for t, m in zip(self.tensors, masks, strict=True) if t.name in names]

    def _ends(self, active: Active, dim: int) -> dict[str, Tensor]:
        """Entries of a dimension of each tensor that are an active unit's, or nobody's."""
        found = {t.name: t.mask.new_ones(t.mask.shape[dim]) for t in self.tensors}
        for name, units in self.layers.items():
            for place in units.places:
                for start in place.starts if place.dim == dim else ():
                    found[place.weight][start : start + units.size] = active[name]
        return found

    def _pool(
        self,
        control: Control,
        saliences: Mapping[str, Tensor],
        active: Active,
        layers: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """Mean salience of each unit's weights whose other end is active, by layer."""
        ends = [self._ends(active, dim) for dim in (0, 1)]
        found = {}
        for name in self.layers if layers is None else layers:
            size, sums, count = self.layers[name].size, [], 0
            for place in self.layers[name].places:
                other = ends[1 - place.dim][place.weight]
                entries = saliences[place.weight].movedim(place.dim, 0)[:, other]
                sums.append(_of_units(entries.float().sum(1), place, size).sum(0))
                count += entries.shape[1] * len(place.starts)
            found[name] = control.checked_means(name, torch.stack(sums).sum(0) / max(1, count))
        return found


def _of_units(entries: Tensor, place: Place, size: int) -> Tensor:
    """What is known of a dimension's entries as that of the units in each gate: (gates, size)."""
    return torch.stack([entries[start : start + size] for start in place.starts])


def _view(name: str, active: Tensor, density: float, generator: torch.Generator) -> TensorView:
    """A layer as a tensor of units."""
    return TensorView(name, active.float(), active, active, generator, density)
