"""A study in figures: each arm over its seeds, and its paired difference to another arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hyperprune.errors import RunError, nearest
from hyperprune.judgement.arms import Arm
from hyperprune.judgement.statistics import Summary, paired, summary
from hyperprune.training.outcome import DENSE


@dataclass(frozen=True)
class ArmFigures:
    """One arm over its seeds. Differences are its values less those of `against`, seed by seed.

    Values are of the metric, of the epoch that is best on validation; density and exploration are shares of
    the masked weights; seconds are of a whole training that did not fail, on the machine that ran it.
    """

    name: str
    valid: Summary
    test: Summary
    against: str
    valid_difference: Summary
    test_difference: Summary
    density: Summary
    exploration: Summary
    seconds: Summary
    densities: Mapping[str, Summary]  # by masked tensor
    failed: int  # trainings
    cause: str | None  # of the first that failed


def figures_of(
    arms: Sequence[Arm], seconds: Mapping[str, Mapping[int, float]], against: str = DENSE
) -> list[ArmFigures]:
    """Figures of every arm; raises RunError where `against` names none."""
    by_name = {arm.name: arm for arm in arms}
    if against not in by_name:
        raise RunError(f"no arm {against!r}{nearest(against, by_name)}; arms: {', '.join(by_name)}")
    other = by_name[against]
    return [_figures(arm, other, seconds) for arm in arms]


def _figures(arm: Arm, other: Arm, seconds: Mapping[str, Mapping[int, float]]) -> ArmFigures:
    own = arm is other
    names = dict.fromkeys(name for item in arm.trainings for name in item.density)
    causes = [item.cause for item in arm.trainings if item.cause]

    def difference(what: str) -> Summary:
        return Summary(0, None) if own else paired(arm.values(what), other.values(what))

    return ArmFigures(
        name=arm.name,
        valid=summary([*arm.values("valid").values()]),
        test=summary([*arm.values("test").values()]),
        against=other.name,
        valid_difference=difference("valid"),
        test_difference=difference("test"),
        density=summary([*arm.values("share").values()]),
        exploration=summary([*arm.values("exploration").values()]),
        seconds=summary(
            [
                sum(took.values())
                for item in arm.trainings
                if item.cause is None
                and len(took := seconds.get(item.name, {})) == item.epochs
                and took
            ]
        ),
        densities={
            name: summary([item.density[name] for item in arm.trainings if name in item.density])
            for name in names
        },
        failed=len(causes),
        cause=causes[0] if causes else None,
    )
