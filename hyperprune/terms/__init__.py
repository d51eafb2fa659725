"""What every room speaks of and none owns: how blocks are named, how quality and time are told, tables.

Imports nothing of hyperprune. Read by recipes and sparse training alike, and by all that tells a result.
"""
