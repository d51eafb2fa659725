"""What is looked at before a run begins to train: its text and its disk."""

from __future__ import annotations

from dataclasses import asdict

from hyperprune import events
from hyperprune.corpus import Corpus
from hyperprune.errors import RunError
from hyperprune.pipeline.session import Session
from hyperprune.plan import disk
from hyperprune.store.reads import reads_of
from hyperprune.task import Cut
from hyperprune.terms.metric import PERPLEXITY


def pin_corpus(session: Session) -> None:
    """Make the text a fact of the run; raises RunError when it is not the text it began with."""
    corpus, journal = session.settled.corpus, session.run.journal
    known = [fact["sha256"] for fact in journal.facts("corpus")]
    if not known:
        metric = session.settled.task.metric
        told = {} if metric == PERPLEXITY else {"metric": asdict(metric)}
        journal.append({"fact": "corpus", "name": corpus.name, "sha256": corpus.sha256, **told})
    elif known[0] != corpus.sha256:
        raise RunError(
            f"the corpus {corpus.name} has changed since the run began (sha256 {known[0][:12]}…, now "
            f"{corpus.sha256[:12]}…); bring back the old text, or start a new run"
        )
    if isinstance(corpus, Corpus):
        session.run.write_vocabulary(corpus.vocabulary)
        return
    train = session.recipe.train
    reads = reads_of(session.settled.task, corpus, Cut(train.eval_batch, train.bptt))
    if reads is not None:
        session.run.write_reads(reads)


def look_at_disk(session: Session) -> None:
    """Estimate the disk the run will fill; raises RunError where it cannot even begin."""
    weights, train = session.settled.weights, session.recipe.train
    first = disk.checkpoint_bytes(weights, train, 1) + disk.best_bytes(weights)
    doubt = disk.check_space(session.run.folder, session.settled.disk, first)
    if doubt is not None:
        session.notify(events.Notice(doubt))
