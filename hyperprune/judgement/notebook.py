"""A result in a notebook: a table that needs no script, and a frame."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from hyperprune.judgement.result import CandidateResult, RunResult


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


def as_frame(result: RunResult) -> pd.DataFrame:
    """Candidates as a frame, indexed by name: a column a setting, by its path, and all that is known."""
    import pandas as pd

    names = result.json_names
    rows = [
        {**item.configuration, **{names.get(k, k): v for k, v in _plain(item)}}
        for item in result.candidates
    ]
    return pd.DataFrame(rows).set_index("name")


def _plain(item: CandidateResult) -> list[tuple[str, Any]]:
    return [(k, v) for k, v in vars(item).items() if k != "configuration"]


def _word(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
