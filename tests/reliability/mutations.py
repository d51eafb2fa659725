"""Hostile versions of a file: bytes edited anywhere, or a value put where its format does not want it."""

from __future__ import annotations

import json
import random
import tomllib

HOSTILE = (
    None, True, -1, 0, 2**31, 2**63, 2**70, 1e308, -1e308, 1e-320, float("nan"), float("inf"),
    "", "../x", "/etc/passwd", "c000/../../x", "\x1b[2J\x9b31m", "<script>alert(1)</script>",
    "\u202e", "\x00", "a" * 5000, [], {}, [[]], {"name": {}}, [1e308] * 3, {"": ""}, "hyperprune",
)  # fmt: skip


def mutate(data: bytes, draw: random.Random) -> bytes:
    """One to three changes, of the structure where there is one."""
    for _ in range(draw.randint(1, 3)):
        change = draw.choice((_bytes, _structure, _structure, _structure))
        data = change(data, draw)
    return data


def _bytes(data: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(data))
    end = min(len(data), start + draw.choice((0, 0, 1, 4, 50, len(data))))
    return data[:start] + draw.randbytes(draw.choice((0, 1, 1, 8, 40))) + data[end:]


def _structure(data: bytes, draw: random.Random) -> bytes:
    try:
        size = int.from_bytes(data[:8], "little")
        if 8 <= 8 + size <= len(data):  # safetensors: length, JSON header, numbers
            header = _json(data[8 : 8 + size], draw)
            return len(header).to_bytes(8, "little") + header + data[8 + size :]
        if data[:1] == b"{" and data.count(b"\n{") > 1:  # a journal
            lines = data.splitlines(keepends=True)
            index = draw.randrange(len(lines))
            lines[index] = _json(lines[index], draw).replace(b"\n", b"") + b"\n"
            if draw.random() < 0.2:
                lines.insert(draw.randrange(len(lines)), draw.choice(lines))
            return b"".join(lines)
        if data[:1] == b"{":
            return _json(data, draw)
        return _toml(data, draw)
    except (ValueError, IndexError, RecursionError):
        return _bytes(data, draw)


def _json(data: bytes, draw: random.Random) -> bytes:
    return json.dumps(_changed(json.loads(data), draw)).encode()


def _toml(data: bytes, draw: random.Random) -> bytes:
    text = data.decode()
    tomllib.loads(text)
    lines = text.split("\n")
    index = draw.choice([i for i, line in enumerate(lines) if " = " in line])
    key, _, value = lines[index].partition(" = ")
    hostile = json.dumps(draw.choice(HOSTILE)).replace("NaN", "nan").replace("Infinity", "inf")
    lines[index] = draw.choice((f"{key} = {hostile}", f"{hostile} = {value}", f"{key}.x = {value}"))
    return "\n".join(lines).encode()


def _changed(value, draw: random.Random):
    """The value with one node somewhere in it replaced, taken out or doubled."""
    if isinstance(value, str) and value[:1] in "{[" and value and draw.random() < 0.9:
        return json.dumps(_changed(json.loads(value), draw))  # JSON within JSON: metadata
    if not isinstance(value, (dict, list)) or not value or draw.random() < 0.1:
        return draw.choice(HOSTILE)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw.choice(keys)
    what = draw.random()
    copy = value.copy()
    if what < 0.08:
        del copy[key]
    elif what < 0.16 and isinstance(copy, list):
        copy.insert(key, copy[key])
    elif what < 0.16:
        copy[str(draw.choice(HOSTILE))] = copy[key]
    elif what < 0.24 and isinstance(copy[key], (int, float)):
        copy[key] = copy[key] * draw.choice((-1, 2, 1e6)) + draw.choice((-1, 0, 1))
    else:
        copy[key] = _changed(copy[key], draw)
    return copy
