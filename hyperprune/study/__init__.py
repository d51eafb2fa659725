"""The search in a user's own training loop: asked for trials, told their losses.

Rounds, scores, spectra and searchers are those of a run; the loop is the user's. Imports `search`,
`judgement`, `pipeline`'s suggester and `store`; called by users.
"""

from hyperprune.study.study import Study, lsh
from hyperprune.study.trial import Trial

__all__ = ["Study", "Trial", "lsh"]
