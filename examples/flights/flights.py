"""The flights of the file, as the records they become."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple


class Flight(NamedTuple):
    """One row of the file."""

    row: int
    """Its place in the file, from 0."""

    carrier: bytes
    """The key of its record, e.g. b"UA"."""

    value: bytes
    """The row as a JSON object."""

    timestamp_ms: int
    """The scheduled hour of departure (column `time_hour`): the timestamp of its record."""


def read_flights(path: Path) -> list[Flight]:
    """All flights of the zipped CSV file `path`, by scheduled hour, and within an hour in the order of the file."""
    return sorted(_flights(path), key=lambda flight: flight.timestamp_ms)


def _flights(path: Path) -> Iterator[Flight]:
    hours: dict[str, int] = {}
    encode: Callable[[object], str] = json.JSONEncoder(separators=(",", ":")).encode
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as raw:
        for row, fields in enumerate(csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))):
            hour = fields["time_hour"]
            if hour not in hours:
                hours[hour] = int(datetime.fromisoformat(hour).timestamp() * 1000)
            yield Flight(row, fields["carrier"].encode(), encode(fields).encode(), hours[hour])
