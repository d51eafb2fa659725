"""Docstrings as Sphinx's autodoc prints them: ours are plain paragraphs, not reStructuredText."""

from __future__ import annotations

import re


def as_paragraphs(
    app: object, what: str, name: str, it: object, options: object, lines: list[str]
) -> None:
    """Sphinx's `autodoc-process-docstring`: every paragraph on a line, code as code, the rest as it is."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines).strip())
    lines[:] = []
    for paragraph in paragraphs:
        words = " ".join(paragraph.split())
        parts = re.split(r"(`+[^`]+`+)", words)
        plain = [re.sub(r"([\\*|_`])", r"\\\1", part) for part in parts[::2]]
        code = [f"\\ ``{part.strip('`')}``\\ " for part in parts[1::2]]
        told = "".join(a + b for a, b in zip(plain, [*code, ""], strict=True))
        lines += [told, ""]
