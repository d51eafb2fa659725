"""The run folder: the one room that writes, atomically, so that everything in it can be resumed."""
