"""What a run will do and cost, before it does it: rounds, epochs, seconds, disk.

Imports recipe, search, training, and events for the plan's record. Called by `pipeline`, and by `cli` for
`--dry-run`.
"""
