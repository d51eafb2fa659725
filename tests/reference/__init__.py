"""Each algorithm once more, slow and literal: what the tests of every fast path compare with.

cells.py        one step of each network, a sequence and a unit at a time
qr_spectrum.py  Jacobians of the whole network and a QR at every step
mask_update.py  one change of a topology, on Python lists

Nothing here is shared with the package, and nothing here should be made faster.
"""
