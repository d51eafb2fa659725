"""The findings of tables in words and figures: Markdown for the docs, HTML and JSON for a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperprune.bench.evidence import best_signals
from hyperprune.bench.signals import BOTH, LOSS, study
from hyperprune.bench.summary import shown_searches
from hyperprune.bench.table import Table
from hyperprune.errors import RunError
from hyperprune.report.page import chart, fill
from hyperprune.store import atomic

EARLY = 3
MEETING = (
    0.1  # share of configurations that meet the target, from which searches are compared by it
)
SHOWN = 8  # signals in the docs' table; the JSON has all


def evidence_path(table: Path) -> Path:
    """Where a table's measured evidence lies."""
    return table.with_suffix(".evidence.json")


def write_html(table_path: Path, found: Mapping[str, Any], target: Path) -> Path:
    """Write the figures and findings of a table as one HTML file that loads nothing."""
    try:
        from hyperprune.bench.figures import charts
    except ImportError as error:
        raise RunError(f"a report needs {error.name}: pip install 'hyperprune[report]'") from error
    table = Table.load(table_path)
    drawn = charts(table, study(table, table_path.stem), found)
    values = {
        "charts": {
            f"chart{i}": made for i, each in enumerate(drawn.values()) if (made := chart(each))
        },
        "titles": list(drawn),
        "words": "\n".join(section(found)),
    }
    atomic.write_text(target, fill("bench.html", found["table"], values))
    return target


def section(found: Mapping[str, Any]) -> Iterator[str]:
    """One table's findings as Markdown lines."""
    facts, replay = found["facts"], found["replay"]
    yield f"## Table `{found['table']}`\n"
    yield from _facts(facts)
    yield f"\n### Does an early signal rank the end? Epoch {EARLY}\n"
    yield (
        "Spearman's correlation with the final validation loss, 95 % bootstrap interval over "
        "configurations. Seed noise alone would hold a perfect oracle of the true order at "
        f"{facts['attainable_correlation']:.2f}.\n"
    )
    yield "The last column is the mean regret (below) when the signal alone halves a random pool.\n"
    yield "| signal | Spearman | interval | Kendall | within controls (mean) | regret |"
    yield "|---|---|---|---|---|---|"
    for name in _shown(found):
        entry = _entry(found, name, EARLY)
        if entry is not None:
            value, low, high = entry["spearman"]
            within = list(entry["within"].values())
            mean = f"{sum(within) / len(within):.2f}" if within else "–"
            regret, error = found["selection"][name]
            yield (
                f"| {name} | {value:.2f} | {low:.2f} … {high:.2f} | {entry['kendall']:.2f} | "
                f"{mean} | {regret:.2f} ± {error:.2f} |"
            )
    yield "\n| Spearman at epoch | 1 | 2 | 3 | 4 | 5 | 6 |\n|---|---|---|---|---|---|---|"
    for name in (LOSS, facts["own_distance"], BOTH):
        entries = [_entry(found, name, epoch) for epoch in range(1, 7)]
        cells = ["–" if entry is None else f"{entry['spearman'][0]:.2f}" for entry in entries]
        yield f"| {name} | {' | '.join(cells)} |"
    yield from _objectives(found)
    yield "\n### What each search would have chosen\n"
    yield (
        f"{replay['seeds']} seeds, at most {replay['budget']:.0f} epochs, which is what version 0.1's "
        f"search takes with {replay['candidates']} candidates (all of them trained fully: "
        f"{replay['full_search']}). What a search uses of the dense reference ({facts['epochs']} epochs) "
        f"and of spectra ({facts['measuring']:.1%} of training) is in its epochs. Regret is the "
        "chosen configuration's final validation perplexity above the table's best; differences under "
        f"the noise floor of {facts['noise_perplexity']:.2f} mean nothing. Intervals are of 95 %, over "
        f"seeds. {_meeting(facts)}\n"
    )
    yield "| search | epochs | median regret | interval | mean | interval | in noise floors | met |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, entry in shown_searches(replay["methods"]):
        value, low, high = entry["regret"]
        mean, below, above = entry["mean"]
        shown = f"**{name}** (default)" if entry["default"] else name
        yield (
            f"| {shown} | {entry['epochs']:.0f} | {value:.2f} | {low:.2f} … {high:.2f} | "
            f"{mean:.2f} | {below:.2f} … {above:.2f} | "
            f"{sum(entry['regrets']) / len(entry['regrets']):.2f} | {_met(entry, facts)} |"
        )
    yield from _sensitivity(found)
    yield from _beside_raw(found)
    yield "\n### In words\n"
    yield from (f"- {line}" for line in findings(found))
    yield ""


def _comparable(facts: Mapping[str, Any]) -> bool:
    """Whether enough configurations meet the target for searches to be compared by it."""
    return bool(facts["meet_target"] >= MEETING * facts["configurations"])


def _meeting(facts: Mapping[str, Any]) -> str:
    if not _comparable(facts):
        return (
            f"{facts['meet_target']} of {facts['configurations']} configurations meet the dense target, too "
            "few to compare searches by it."
        )
    return (
        "Met: the share of seeds in which a network trained to the end meets the dense target, and the "
        "mean of the epochs until the first (the whole budget where there is none)."
    )


def _met(entry: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    if not _comparable(facts):
        return "–"
    share = sum(epochs is not None for epochs in entry["met"]) / len(entry["met"])
    return f"{share:.0%}, {entry['met_epochs']:.0f}"


def _objectives(found: Mapping[str, Any]) -> Iterator[str]:
    """How each objective orders all configurations, by epoch."""
    last = max(len(each["spearman"]) for each in found["objectives"].values())
    yield "\n### Does an objective rank the end?\n"
    yield (
        "Each objective scores all configurations as one pool: Spearman's correlation of the scores with "
        "the final validation loss after each epoch, with its 95 % interval over configurations. "
        "`exploration` is no score but the share itself: below 0, who explored more ended better.\n"
    )
    yield f"| objective | {' | '.join(str(epoch) for epoch in range(1, last + 1))} |"
    yield f"|---|{'---|' * last}"
    for name, each in found["objectives"].items():
        cells = [
            "–" if at is None else "{:.2f} ({:.2f} … {:.2f})".format(*at) for at in each["spearman"]
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def _sensitivity(found: Mapping[str, Any]) -> Iterator[str]:
    """Other tolerances and distances than the ones that may become the default."""
    yield "\n### Other tolerances, distances and references\n"
    yield (
        "Reported beside, and not eligible: `gated` with other tolerances, and the objective `distance` with "
        "every distance, of either state, against the dense spectrum of the same epoch or the final one, "
        f"all on random pools. Correlation at epoch {EARLY}; mean regret. Those that choose alike stand in "
        "one line.\n"
    )
    yield "| objective | Spearman | mean regret | interval | in noise floors |"
    yield "|---|---|---|---|---|"
    alike: dict[str, list[str]] = {}
    for name, each in found["sensitivity"].items():
        value, low, high = each["mean"]
        rank = (
            "–"
            if each["spearman"] is None
            else "{:.2f} ({:.2f} … {:.2f})".format(*each["spearman"])
        )
        units = sum(each["regrets"]) / len(each["regrets"])
        line = f"{rank} | {value:.2f} | {low:.2f} … {high:.2f} | {units:.2f} |"
        alike.setdefault(line, []).append(name)
    for line, names in alike.items():
        yield f"| {'; '.join(names)} | {line}"


def _beside_raw(found: Mapping[str, Any]) -> Iterator[str]:
    """The table's findings with exponents below the resolution used as measured, as 0.1 did."""
    if "raw" not in found:
        return
    raw = found["raw"]
    yield "\n### Resolved and raw exponents\n"
    yield (
        "Up to version 0.1 distances compared every exponent by value. The figures of then (raw) beside "
        f"those of now (resolved): Spearman's correlation at epoch {EARLY}, and the signal's own regret.\n"
    )
    yield "| signal | Spearman, raw | resolved | regret alone, raw | resolved |"
    yield "|---|---|---|---|---|"
    for name in found["correlations"]:
        before, now = _entry(raw, name, EARLY), _entry(found, name, EARLY)
        if before and now and before != now:
            yield (
                f"| {name} | {before['spearman'][0]:.2f} | {now['spearman'][0]:.2f} | "
                f"{raw['selection'][name][0]:.2f} | {found['selection'][name][0]:.2f} |"
            )


def findings(found: Mapping[str, Any]) -> Iterator[str]:
    """What may be claimed: nothing inside the noise or inside overlapping intervals."""
    facts, replay = found["facts"], found["replay"]
    own, noise = facts["own_distance"], facts["noise_perplexity"]
    loss, distance = _entry(found, LOSS, EARLY), _entry(found, own, EARLY)
    if loss and distance:
        yield _compare(
            f"At epoch {EARLY} early loss ranks the end",
            loss["spearman"],
            own,
            distance["spearman"],
        )
    ranked = best_signals(found, EARLY)
    name, (value, low, high) = ranked[0]
    yield f"The best of {len(ranked)} signals is {name}: {value:.2f} ({low:.2f} … {high:.2f})."
    worth = sorted(found["selection"].items(), key=lambda item: item[1][0])
    told = {name: value[0] for name, value in worth}
    yield (
        f"Halving random pools, {worth[0][0]} loses least ({told[worth[0][0]]:.2f}); loss loses "
        f"{told[LOSS]:.2f}, {own} {told[own]:.2f}; the noise floor is {noise:.2f}."
    )
    searches = dict(shown_searches(replay["methods"]))
    means = {name: entry["mean"][0] for name, entry in searches.items()}
    best = min(means, key=lambda name: (means[name], name))
    close = sorted(
        name for name, mean in means.items() if name != best and mean - means[best] < noise
    )
    worse = sorted(name for name in means if name != best and name not in close)
    yield f"Least mean regret: {best} ({means[best]:.2f})." + (
        f" Within the noise floor of it: {', '.join(close)}." if close else ""
    )
    if worse:
        listed = ", ".join(f"{name} (+{means[name] - means[best]:.2f})" for name in worse)
        yield f"Worse by more than the noise floor: {listed}."
    yield from _default(searches, noise)
    yield (
        f"{facts['within_noise_of_best']} of {facts['configurations']} configurations end within "
        "one noise deviation of the best: the table cannot tell these apart."
    )


def _default(found: Mapping[str, Any], noise: float) -> Iterator[str]:
    """The default search's median regret beside that of every other at no more epochs."""
    own = next((entry for entry in found.values() if entry["default"]), None)
    if own is None:
        return
    median, epochs = own["regret"][0], own["epochs"]
    better = {
        name: median - entry["regret"][0]
        for name, entry in found.items()
        if entry["epochs"] <= epochs and entry["regret"][0] < median
    }
    listed = ", ".join(
        f"{name} (by {gap:.2f}{', inside the noise' if gap < noise else ''})"
        for name, gap in sorted(better.items(), key=lambda item: -item[1])
    )
    yield f"The default search's median regret is {median:.2f}; " + (
        f"lower at no more epochs: {listed}." if listed else "none is lower at no more epochs."
    )


def _compare(what: str, loss: Sequence[float], own: str, distance: Sequence[float]) -> str:
    verdict = "the intervals overlap"
    if loss[1] > distance[2]:
        verdict = "loss is the better signal"
    elif distance[1] > loss[2]:
        verdict = "distance is the better signal"
    return f"{what} at {loss[0]:.2f} and {own} at {distance[0]:.2f}: {verdict}."


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts.get("missing"):
        yield f"**The table is not whole: {facts['missing']} of its rows are still to be made.**\n"
    yield (
        f"{facts['configurations']} configurations, {facts['epochs']} epochs each, "
        f"{facts['failed']} failed. Validation perplexity: dense "
        f"{facts['dense']:.2f}; best {facts['best']:.2f}, median {facts['median']:.2f}, worst "
        f"{facts['worst']:.2f}"
        + (f"; the recipe's own settings {facts['default']:.2f}" if facts["default"] else "")
        + "."
    )
    yield (
        f"Noise floor, the standard deviation over seeds of one configuration "
        f"({facts['noise_degrees']} degrees of freedom): {facts['noise_perplexity']:.2f}. At the end "
        f"{facts['averaging']} of {facts['configurations']} average their weights, and the median "
        f"configuration's loss moves by {facts['last_change']:.4f} nats an epoch."
    )


def _shown(found: Mapping[str, Any]) -> list[str]:
    """The signals that searches use, and the best of the others; of those that rank alike, one."""
    always = [LOSS, found["facts"]["own_distance"], BOTH]
    ranked = [name for name, _ in best_signals(found, EARLY)]
    always = [name for name in always if name in ranked]
    chosen: list[str] = []
    seen: list[Any] = [found["correlations"][name] for name in always]
    for name in ranked:
        entries = found["correlations"][name]
        if name in always:
            chosen.append(name)
        elif entries not in seen and len(chosen) < SHOWN:
            chosen.append(name)
            seen.append(entries)
    return chosen


def _entry(found: Mapping[str, Any], name: str, epoch: int) -> Mapping[str, Any] | None:
    entries = found["correlations"].get(name, [])
    return next((entry for entry in entries if entry["epoch"] == epoch), None)
