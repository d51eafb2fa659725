"""What a run will do and cost, before it does it: rounds, epochs, seconds, disk.

Imports events, for the plan's record, recipe, search and training. Called by `pipeline` and by `cli` for `--dry-run`.
"""
