"""Readers: each follows one partition from its beginning, of everything or of what is committed."""

from typing import Final

from logserver_records.batch import BatchHeader, Buffer, whole_batches
from logserver_records.codec import decode_batch

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.simulation.clients.kafka import FETCH, KafkaClient, Lost
from logserver.simulation.clients.writer import name_of
from logserver.simulation.ledger import Ledger, Place, Reading, Violation
from logserver.simulation.world import World

_MOST_BYTES: Final = 1 << 20


class Reader:
    """Reads one partition."""

    def __init__(self, world: World, name: str, place: Place, *, is_committed_only: bool) -> None:
        self._world = world
        self._ledger = world.ledger
        self._name = name
        self._place = place
        self._is_committed_only = is_committed_only
        self._random = world.random(name)
        self._client = KafkaClient(world.network, name)
        self._reading = self._begin(0)

    def _begin(self, offset: int) -> Reading:
        return begin_reading(self._ledger, self._name, self._place, offset, is_committed_only=self._is_committed_only)

    async def run(self) -> None:
        """Reads until the run is over."""
        while not self._world.is_over:
            try:
                await self._poll()
            except Lost:
                await self._world.pause(self._random, 1)
            await self._world.pause(self._random, 0.3)
            if self._random.random() < 0.05:
                known = self._ledger.by_offset.get(self._place, {})
                # Also inside of a batch.
                self._reading = self._begin(self._random.choice([0, *known]))
        self._client.close()

    async def _poll(self) -> None:
        topic, number = self._place
        target = {
            "partition": number,
            "fetch_offset": self._reading.position,
            "partition_max_bytes": self._random.choice((1, 500, 5000)),
        }
        message = {
            "max_wait_ms": 500,
            "min_bytes": 1,
            "max_bytes": _MOST_BYTES,
            "isolation_level": int(self._is_committed_only),
            "topics": [{"topic": topic, "partitions": [target]}],
        }
        answer = await self._client.call(FETCH, 12, message)
        if answer.error_code or not answer.responses:
            return
        found = answer.responses[0].partitions[0]
        if found.error_code == ErrorCode.offset_out_of_range.value:
            self._reading = start_behind_deletion(self._ledger, self._reading)
        elif not found.error_code:
            self._take(found)

    def _take(self, found: Struct) -> None:
        reading = self._reading
        aborted = sorted(found.aborted_transactions or (), key=lambda one: int(one.first_offset))
        gone: set[int] = set()
        data = found.records or b""
        for position, header in whole_batches(data):
            while aborted and aborted[0].first_offset <= header.last_offset:
                gone.add(aborted.pop(0).producer_id)
            if header.is_control:
                gone.discard(header.producer_id)
            is_gone = header.is_transactional and header.producer_id in gone and self._is_committed_only
            take_batch(self._ledger, reading, data, position, header, is_gone=is_gone)
            reading.position = header.last_offset + 1
        if len(data):
            self._ledger.note(self._name, f"has {self._place} up to {reading.position}", self._place)


def begin_reading(ledger: Ledger, reader: str, place: Place, offset: int, *, is_committed_only: bool) -> Reading:
    """Notes that a reader begins at an offset."""
    reading = Reading(reader, place, offset, offset, is_committed_only)
    ledger.readings.append(reading)
    return reading


def start_behind_deletion(ledger: Ledger, before: Reading) -> Reading:
    """Goes on where records were deleted: begins anew behind them.

    Raises:
        Violation: nobody has deleted what the reader was about to read.
    """
    place, position = before.place, before.position
    limit = ledger.deleted_before(place)
    if position >= limit:
        raise Violation(
            "lost position",
            f"{before.reader} stands at {position} of {place}, which is out of range, and nobody deleted it",
            place,
        )
    ledger.note(before.reader, f"position {position} is gone", place)
    # Where the log begins is told by what is read from there; nobody deletes beyond the limit.
    return begin_reading(ledger, before.reader, place, limit, is_committed_only=before.is_committed_only)


def take_batch(
    ledger: Ledger, reading: Reading, data: Buffer, position: int, header: BatchHeader, *, is_gone: bool = False
) -> None:
    """Takes up the records of a batch that a reader got, those behind its position.

    Args:
        is_gone: whether the batch is of an aborted transaction, and the reader wants none of it.

    Raises:
        Violation: it lies in front of the position, or has a record that was never sent there.
    """
    if header.last_offset < reading.position:
        raise Violation(
            "non-monotonic poll",
            f"{reading.reader} asked {reading.place} for {reading.position} and got a batch up to {header.last_offset}",
            reading.place,
        )
    if header.is_control or is_gone:
        return
    for record in decode_batch(data, position, max_decompressed_bytes=_MOST_BYTES, verify_crc=True):
        if record.offset >= reading.position:
            value = name_of(record)
            ledger.saw(reading.reader, reading.place, record.offset, value)
            reading.offsets[record.offset] = value
