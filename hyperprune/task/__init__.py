"""What a network is trained for: how data become batches, what is lost, and how well is said.

Imports corpora, models and the metric. Called by `training`, and by plugins that bring tasks.
"""

from hyperprune.task.contract import Batch, Batches, Cut, Evaluation, Split, Task
from hyperprune.task.segments import segments_of
from hyperprune.task.sequences import SequenceTask, answers
from hyperprune.terms.metric import PERPLEXITY, Metric

__all__ = [
    "PERPLEXITY",
    "Batch",
    "Batches",
    "Cut",
    "Evaluation",
    "Metric",
    "SequenceTask",
    "Split",
    "Task",
    "answers",
    "segments_of",
]
