"""Readers: each follows one partition from its beginning, of everything or of what is committed."""

from typing import Final

from logserver_records.batch import whole_batches
from logserver_records.codec import decode_batch

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.simulation.clients.kafka import FETCH, KafkaClient, Lost
from logserver.simulation.clients.writer import name_of
from logserver.simulation.ledger import Place, Reading, Violation
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
        reading = Reading(self._name, self._place, offset, offset, self._is_committed_only)
        self._ledger.readings.append(reading)
        return reading

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
            self._out_of_range(found)
        elif not found.error_code:
            self._take(found)

    def _out_of_range(self, found: Struct) -> None:
        limit = self._ledger.deleted_before(self._place)
        position = self._reading.position
        if position >= limit:
            raise Violation(
                "lost position",
                f"{self._name} stands at {position} of {self._place}, which is out of range, and nobody deleted it",
                self._place,
            )
        self._ledger.note(self._name, f"position {position} is gone", self._place)
        # Where the log begins is told by what is read from there; nobody deletes beyond the limit.
        self._reading = self._begin(limit)

    def _take(self, found: Struct) -> None:
        reading = self._reading
        aborted = sorted(found.aborted_transactions or (), key=lambda one: int(one.first_offset))
        gone: set[int] = set()
        data = found.records or b""
        for position, header in whole_batches(data):
            if header.base_offset + header.last_offset_delta < reading.position:
                raise Violation(
                    "non-monotonic poll",
                    f"{self._name} asked {self._place} for {reading.position} and got a batch up to "
                    f"{header.last_offset}",
                    self._place,
                )
            while aborted and aborted[0].first_offset <= header.last_offset:
                gone.add(aborted.pop(0).producer_id)
            if header.is_control:
                gone.discard(header.producer_id)
            elif not (header.is_transactional and header.producer_id in gone and self._is_committed_only):
                for record in decode_batch(data, position, max_decompressed_bytes=_MOST_BYTES, verify_crc=True):
                    if record.offset >= reading.position:
                        value = name_of(record)
                        self._ledger.saw(self._name, self._place, record.offset, value)
                        reading.offsets[record.offset] = value
            reading.position = header.last_offset + 1
        if len(data):
            self._ledger.note(self._name, f"has {self._place} up to {reading.position}", self._place)
