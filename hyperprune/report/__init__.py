"""From a run folder to what a person reads afterwards: checks of its files, figures, a page.

Imports judgement, the store and the words of `ui`. Called by `cli`.
"""
