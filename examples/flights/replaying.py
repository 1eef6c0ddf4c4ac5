"""Part three: the first topic, stored before the kills, is replayed from an offset and from a time."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from logserver_client import replay

from .flights import Flight
from .readback import ReadBack
from .stage import Stage
from .storing import TOPIC

SINCE: Final = datetime(2013, 12, 24, tzinfo=UTC)
UNTIL: Final = datetime(2013, 12, 25, tzinfo=UTC)


def replay_from_offset(stage: Stage, stored: ReadBack) -> None:
    """Replays the second half of the largest partition with the client."""
    partition, count, _ = max(stored.counts(), key=lambda entry: entry[1])
    offset = count // 2
    stage.proof.step(f"Replaying partition {partition} of {TOPIC!r} from offset {offset:,}")
    carriers = {carrier for carrier, partitions in stored.partitions_by_key.items() if partition in partitions}
    expected = [flight.row for flight in stage.flights if flight.carrier in carriers][offset:]
    read = ReadBack.of(replay(stage.server.address, TOPIC, start=offset, partition=partition), stage.flights)
    stage.proof.check(
        dict(read.rows) == {partition: expected} and read.changed == 0,
        f"replay from offset {offset:,}: {read.count:,} records, {len(expected):,} in the file; the same, in order",
    )


def replay_from_time(stage: Stage) -> None:
    """Replays the end of the year, and one day, with the command."""
    stage.proof.step(f"Replaying {TOPIC!r} from a timestamp with `logserver replay`")
    since, until = SINCE.isoformat(), UNTIL.isoformat()
    expected = [flight for flight in stage.flights if flight.timestamp_ms >= _ms(SINCE)]
    _check(stage, f"replay from {since}", expected, stage.commands.records("replay", TOPIC, "--from", since))
    expected = [flight for flight in expected if flight.timestamp_ms < _ms(UNTIL)]
    records = stage.commands.records("replay", TOPIC, "--from", since, "--to", until)
    _check(stage, f"replay from {since} to {until}", expected, records)


def _check(stage: Stage, what: str, expected: Sequence[Flight], records: Iterable[dict[str, Any]]) -> None:
    read = sorted((record["key"], record["value"], record["timestamp"]) for record in records)
    wanted = sorted((flight.carrier.decode(), flight.value.decode(), flight.timestamp_ms) for flight in expected)
    stage.proof.check(read == wanted, f"{what}: {len(read):,} records, {len(wanted):,} in the file; the same flights")


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)
