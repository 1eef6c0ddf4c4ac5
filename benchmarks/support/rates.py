"""Rates and processor time of servers side by side, as a table."""

from typing import Any, Final

from benchmarks.support.contest import Rounds
from benchmarks.support.numbers import spread
from benchmarks.support.output import Table
from benchmarks.support.usage import Cpu

MB: Final = 1_000_000
GIB: Final = 1 << 30
RAW: Final = ", prebuilt batches"
"""Ends the name of an entrant that is no client; such are compared with each other."""


def size(count: int) -> str:
    """Returns a number of bytes in words."""
    if count < 1024:
        return f"{count} B"
    return f"{count // 1024} KiB" if count < 1 << 20 else f"{count >> 20} MiB"


def rate(run: Any) -> float:
    """Returns records a second, relative ones: all runs of a case have as many."""
    return 1.0 / float(run["seconds"])


def server_cpu_s(run: Any) -> float:
    """Returns the processor time of the server."""
    return Cpu(**run["server"]).total_s


def fill(table: Table, rounds: Rounds, carried_bytes: int, record_bytes: int, reference: str) -> None:
    """Writes a table with a row for each entrant, and why others are missing."""
    for name, runs in rounds.runs.items():
        of_raw = reference + RAW if name.endswith(RAW) else reference
        scale = GIB / carried_bytes
        rates = rounds.values(name, lambda run: carried_bytes / run["seconds"] / MB)
        table.rows.append(
            {
                "client and server": name,
                "MB/s": spread(rates),
                "krecords/s": spread(rates).median * MB / record_bytes / 1000,
                f"ratio to {reference}": None if name == of_raw else rounds.ratio(name, of_raw, rate),
                "server CPU s/GiB": _cpu(runs, "server", scale),
                "client CPU s/GiB": _cpu(runs, "client", scale),
            }
        )
    table.notes += [f"without {name}: {why}" for name, why in rounds.failed.items()]


def _cpu(runs: list[Any], side: str, scale: float) -> str:
    user, system = (spread([run[side][part] * scale for run in runs]).median for part in ("user_s", "system_s"))
    return f"{user:.2f} + {system:.2f}"


def scaled(run: Any, factor: float) -> Any:
    """Returns a run as if it had carried so many times as much."""
    sides = {side: {name: value * factor for name, value in run[side].items()} for side in ("server", "client")}
    return {**run, **sides, "seconds": run["seconds"] * factor}
