"""One loop, dense or sparse, an epoch at a time, and what it came to.

Imports corpus, models, optimisers and the sparse engine. Called by `execution`'s workers.
"""
