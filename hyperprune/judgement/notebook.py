"""A result in a notebook: a table that needs no script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperprune.judgement.result import RunResult


def as_html(result: RunResult) -> str:
    """The winner in a sentence, and the candidates, best first; names are escaped."""
    metric = result.metric
    ordered = sorted(
        result.candidates,
        key=lambda item: (item.state != "winner", metric.order(item.valid_value)),
    )
    paths = list(dict.fromkeys(path for item in ordered for path in item.configuration))
    numbers = ("epochs", "LS distance", metric.words)
    heads = ("candidate", *(path.rpartition(".")[2] for path in paths), *numbers, "state")
    rows = [
        (
            item.name,
            *(_word(item.configuration.get(path)) for path in paths),
            str(item.epochs),
            _word(item.distance),
            metric.text(item.valid_value),
            item.state,
        )
        for item in ordered
    ]
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return (
        f"<p>{escape(result.title or 'run')}: <strong>{escape(result.winner)}</strong> reached "
        f"validation {metric.words} {metric.text(result.best.valid_value)}, the dense network "
        f"{metric.text(result.dense_value)}; {result.active:,} of {result.masked:,} masked weights are "
        "active.</p><table><thead><tr>"
        + "".join(f"<th>{escape(head)}</th>" for head in heads)
        + f"</tr></thead><tbody>{body}</tbody></table>"
    )


def _word(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
