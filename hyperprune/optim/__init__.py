"""Optimisers that resume to the bit and lend their averages, where they keep any, to evaluation.

Imports nothing above `errors`. Called by `training`, and by anyone who trains a network of their own.
"""

from hyperprune.optim.build import SGD, Adam, AdamW, build_optimizer
from hyperprune.optim.contract import Optimizer
from hyperprune.optim.snt_asgd import SNTASGD

__all__ = ["SGD", "SNTASGD", "Adam", "AdamW", "Optimizer", "build_optimizer"]
