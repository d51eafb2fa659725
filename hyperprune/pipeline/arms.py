"""The arms of a study: proposed by the recipe, so nobody is asked and all train side by side."""

from __future__ import annotations

from hyperprune import events
from hyperprune.judgement.candidate import Candidate
from hyperprune.pipeline.dense import DenseReference
from hyperprune.pipeline.session import Session
from hyperprune.pipeline.work import finish, start


def try_arms(session: Session, dense: DenseReference) -> list[Candidate]:
    """Train every arm of the recipe to the end of the plan's first round."""
    recipe, run = session.recipe, session.run
    (_, epoch), *_ = session.settled.plan.rounds
    recorded = run.proposed()
    started = []
    for k, arm in enumerate(recipe.arms):
        name = f"c{k:03d}"
        if name not in recorded:
            run.journal.append(
                {"fact": "proposed", "candidate": name, "configuration": dict(arm.settings)}
            )
        session.notify(events.CandidateProposed(name, arm.settings, arm.name))
        own = session.configured(arm.settings)
        started.append(start(session, name, own, True, epoch, weights=recipe.in_full))
    dense.wait()  # what arms are judged against
    return [
        Candidate(work.job.candidate, arm.settings, finish(session, work))
        for arm, work in zip(recipe.arms, started, strict=True)
    ]
