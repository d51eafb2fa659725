"""A table for a paper or a program: Markdown, LaTeX and CSV from heads and cells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
MARKUP = re.compile(r"[\\`*\[~|]|(?<!\w)_|_(?!\w)")
"""What Markdown reads as markup in a line; an underscore within a word is none."""
MATHS = {"±": r"$\pm$", "−": "$-$", "…": r"\ldots{}", "–": "--"}


@dataclass(frozen=True)
class Sheet:
    """Heads and rows of cells as people read them; the first column holds names, the rest figures."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def markdown(sheet: Sheet) -> str:
    """A table as GitHub and most pages show it."""
    lines = [[cell(text) for text in row] for row in (sheet.heads, *sheet.rows)]
    rule = ["---", *["---:"] * (len(sheet.heads) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (lines[0], rule, *lines[1:]))


def latex(sheet: Sheet) -> str:
    """A tabular with the rules of the package booktabs, to put into a table of one's own."""
    head, *rows = [" & ".join(map(_escaped, row)) + r" \\" for row in (sheet.heads, *sheet.rows)]
    columns = "l" + "r" * (len(sheet.heads) - 1)
    body = "\n".join(rows)
    return (
        f"% \\usepackage{{booktabs}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head}\n\\midrule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}"
    )


def comma_separated(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Values with commas between them, empty where there is none (RFC 4180, lines end as Unix has it)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return out.getvalue().rstrip("\n")


def cell(value: object) -> str:
    """A value on one line of Markdown: no bar ends its cell, no name is markup or moves a cursor."""
    line = MARKUP.sub(r"\\\g<0>", _one_line(str(value))).replace("<", "&lt;")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(value: str) -> str:
    text = "".join(LATEX.get(character, character) for character in _one_line(value))
    for plain, command in MATHS.items():
        text = text.replace(plain, command)
    return text
