"""Search: the space, what is known of it, and the plan of rounds.

Imports nothing above `errors`. Called by `recipe`, `pipeline`, `judgement` and searchers.
"""
