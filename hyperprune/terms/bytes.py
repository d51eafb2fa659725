"""How sizes in bytes are written: `64 KiB`, `2 MB`, `65536`."""

from __future__ import annotations

import re

UNITS = {"": 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
UNITS |= {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
PATTERN = rf"^[0-9]{{1,12}}(\.[0-9]{{1,6}})? ?({'|'.join(UNITS)})$"


def bytes_name(value: object) -> str:
    """A size as it is kept in a recipe, `64 KiB`; raises ValueError that says what would be right."""
    text = value if isinstance(value, str) else ""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?(\w*)", text, re.ASCII)
    units = {unit.lower(): unit for unit in UNITS}
    if found is None or found[2].lower() not in units or float(found[1]) == 0:
        raise ValueError('a size is a number with a unit, such as "64 KiB", "64 kB" or "1.5 MiB"')
    return f"{found[1]} {units[found[2].lower()] or 'B'}"


def bytes_of(name: str) -> int:
    """Bytes of a size as `bytes_name` gives it."""
    number, unit = name.split(" ")
    return int(float(number) * UNITS[unit])
