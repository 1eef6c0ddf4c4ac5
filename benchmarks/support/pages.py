"""The outcome of a benchmark as a page for people, made from its JSON document."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.support.numbers import Spread

Document = Mapping[str, Any]
"""What `Report.document` returns, or its JSON read again."""


def markdown(document: Document) -> str:
    """Returns a benchmark's part of the page."""
    lines = [f"## {document['benchmark']}", "", f"Claim: {document['claim']}", ""]
    lines += [f"- {name}: {value}" for name, value in document["machine"].items()]
    lines += ["- versions: " + ", ".join(f"{name} {value}" for name, value in document["versions"].items())]
    lines += [_server(it) for it in document.get("servers", ())]
    lines += [f"- command: `{document['command']}`"]
    lines += [f"- measured: {document['date']}, in {number(document['seconds'] / 60)} minutes", ""]
    if document["failed"]:
        lines += [*(f"- failed: {case}" for case in document["failed"]), ""]
    lines += [f"- {note}" for note in document["notes"]]
    if document["targets"]:
        lines += ["", "### Targets", "", *table([target_row(target) for target in document["targets"]])]
    for found in document["tables"]:
        lines += ["", f"### {found['title']}", "", *table(found["rows"])]
        lines += [""] * bool(found["notes"]) + [f"- {note}" for note in found["notes"]]
    return "\n".join(lines) + "\n"


def target_row(target: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a target as a row of a table."""
    bound = "at most" if target["at_most"] else "at least"
    return {
        "what": target["what"],
        "measured": target["measured"],
        "target": f"{bound} {number(target['target'])}{target['unit']}",
        "": "reached" if target["reached"] else "NOT reached",
    }


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the lines of a table; its headings are those of the first row."""
    headings = list(rows[0]) if rows else []
    cells = [[_text(row[heading]) for heading in headings] for row in rows]
    widths = [max(len(line[n]) for line in (headings, *cells)) for n in range(len(headings))]
    lines = [headings, ["-" * width for width in widths], *cells]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]


def _server(server: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in server["settings"].items())
    return f"- server {server['name']}: {server['version']}; beside its defaults: {settings or 'nothing'}"


def number(value: float) -> str:
    """Returns a number with three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"


def _text(cell: Any) -> str:
    match cell:
        case None:
            return ""
        case Spread(median, low, high) | {"median": median, "low": low, "high": high}:
            return f"{number(median)} ({number(low)} to {number(high)})"
        case int():
            return f"{cell:,}"
        case float():
            return number(cell)
        case _:
            return str(cell)
