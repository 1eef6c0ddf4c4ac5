"""What commands print for people and for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

NOTHING: Final = "-"
"""In a table, where there is no value."""


def print_json(document: Any) -> None:
    """Prints one JSON document on standard output."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints columns on standard output, numbers to the right; NOTHING may stand for a number."""
    body = [list(row) for row in rows]
    texts = [[str(cell) for cell in row] for row in body]
    widths = [max(len(line[column]) for line in (list(head), *texts)) for column in range(len(head))]
    numeric = [_is_numeric([row[column] for row in body]) for column in range(len(head))]
    for line in (list(head), *texts):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _is_numeric(cells: Sequence[object]) -> bool:
    return any(isinstance(cell, int) for cell in cells) and all(
        isinstance(cell, int) or cell == NOTHING for cell in cells
    )


def byte_text(count: float) -> str:
    """A number of bytes for people: 512 B, 1.5 KiB, 78.1 MiB."""
    if abs(count) < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        count /= 1024
        if abs(count) < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} PiB"


def count_text(number: int, one: str, many: str | None = None) -> str:
    """A number of things: 1 log, 1,234 logs, 2 batches."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def summary_text(records: int, bytes_count: int, seconds: float) -> str:
    """Records, bytes and rates in one line."""
    rate = records / seconds if seconds > 0 else 0.0
    bytes_rate = bytes_count / seconds if seconds > 0 else 0.0
    return (
        f"{records:,} {'record' if records == 1 else 'records'}, {byte_text(bytes_count)} in {seconds:.2f} s "
        f"({rate:,.0f} records/s, {byte_text(bytes_rate)}/s)"
    )


def summary_document(records: int, bytes_count: int, seconds: float) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "records": records,
        "bytes": bytes_count,
        "seconds": round(seconds, 6),
        "records_per_second": round(records / seconds, 1) if seconds > 0 else 0.0,
        "bytes_per_second": round(bytes_count / seconds, 1) if seconds > 0 else 0.0,
    }
