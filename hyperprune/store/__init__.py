"""The run folder: the one room that writes, atomically, so that everything in it can be resumed.

Imports recipe records, events and training outcomes. Called by `pipeline`, `execution`, `judgement`.
"""
