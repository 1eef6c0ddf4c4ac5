"""Writers: idempotent ones that send again until they know, and simple ones that never send twice."""

import asyncio
from random import Random
from typing import Final

from logserver_records.codec import Record, build_batch
from logserverpb.v1 import log_pb2

from logserver.errors import ErrorCode
from logserver.simulation.clients.grpc import CallFailed, GrpcClient
from logserver.simulation.clients.kafka import INIT_PRODUCER_ID, PRODUCE, KafkaClient, Lost
from logserver.simulation.clients.produce_stream import ProduceStream
from logserver.simulation.ledger import Batch, Place, Sent, Violation
from logserver.simulation.world import World

_MOST_RECORDS: Final = 4
_FORGOTTEN: Final = frozenset(
    {ErrorCode.out_of_order_sequence_number, ErrorCode.unknown_producer_id, ErrorCode.invalid_producer_epoch}
)
"""What a batch is refused with whose predecessors are not known; none on its own may get that."""


Row = tuple[int, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]


def record_of(sent: Sent, timestamp_ms: int, padding: str = "") -> Row:
    """Returns a record as it is put into a batch. A tombstone has a header to know it by, as it has no value."""
    key = sent.key.encode() if sent.key is not None else None
    if sent.is_tombstone:
        return timestamp_ms, key, None, (("name", sent.value.encode()),)
    return timestamp_ms, key, f"{sent.value} {padding}".encode(), ()


def name_of(record: Record) -> str:
    """Returns what names a record that was made by `record_of`."""
    raw = record.value if record.value is not None else dict(record.headers).get("name") or b""
    return raw.split(b" ", 1)[0].decode()


class Refused(Exception):
    """A partition's error."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


class Sender:
    """Sends one batch to one partition through either door.

    Args:
        is_grpc: through which.
        is_stream: whether by a stream of gRPC rather than by calls.
    """

    def __init__(self, world: World, name: str, random: Random, is_grpc: bool, is_stream: bool = False) -> None:
        self.kafka = KafkaClient(world.network, name)
        self._stream = ProduceStream(world, random) if is_stream else None
        self._grpc = GrpcClient(world.node, random) if is_grpc and not is_stream else None
        self.is_ordered = self._grpc is None
        """Whether several batches under way arrive in the order in which they were sent."""

    async def send(self, place: Place, data: bytes, transactional_id: str | None = None) -> int:
        """Sends a batch; returns its base offset.

        Raises:
            Lost: there was no answer.
            Refused: the partition has an error.
        """
        if self._stream is not None or self._grpc is not None:
            return await self._send_grpc(place, data, transactional_id)
        message = {
            "transactional_id": transactional_id,
            "acks": -1,
            "timeout_ms": 30_000,
            "topic_data": [{"name": place[0], "partition_data": [{"index": place[1], "records": data}]}],
        }
        answer = await self.kafka.call(PRODUCE, 12, message)
        found = answer.responses[0].partition_responses[0]
        if found.error_code:
            raise Refused(ErrorCode(found.error_code))
        return int(found.base_offset)

    async def _send_grpc(self, place: Place, data: bytes, transactional_id: str | None) -> int:
        part = log_pb2.ProducePartition(topic=place[0], partition=place[1], batches=data)
        if self._stream is not None:
            result = await self._stream.send(part, transactional_id)
        else:
            assert self._grpc is not None
            request = log_pb2.ProduceRequest(
                acks=log_pb2.ACKS_ALL, partitions=[part], transactional_id=transactional_id
            )
            try:
                answer = await self._grpc.call("/logserver.v1.Log/Produce", request, log_pb2.ProduceResponse)
            except CallFailed as error:
                raise Lost(str(error)) from error
            (result,) = answer.results
        if result.HasField("error"):
            raise Refused(ErrorCode(result.error.code))
        return int(result.base_offset)

    def close(self) -> None:
        """Closes connection and stream."""
        self.kafka.close()
        if self._stream is not None:
            self._stream.close()


class Writer:
    """Writes to the partitions of one topic, each batch to one of them.

    Args:
        keys: for how many keys; 0 writes none. With keys some records are tombstones.
        is_idempotent: whether it has a producer id and sends again, several batches ahead, until it knows.
        is_grpc: through which door it writes.
        is_stream: whether by a stream there.
    """

    def __init__(
        self,
        world: World,
        name: str,
        where: list[Place],
        *,
        keys: int = 0,
        is_idempotent: bool,
        is_grpc: bool = False,
        is_stream: bool = False,
    ) -> None:
        self._world = world
        self._ledger = world.ledger
        self._name = name
        self._where = where
        self._keys = keys
        self._is_idempotent = is_idempotent
        self._random = world.random(name)
        self._sender = Sender(world, name, self._random, is_grpc, is_stream)
        self._count = 0
        self._producer_id = -1
        self._epoch = -1
        self._incarnation = 0
        self._sequences: dict[Place, int] = {}

    async def run(self) -> None:
        """Writes until the run is over."""
        world = self._world
        while not world.is_over:
            try:
                if self._is_idempotent and self._producer_id < 0:
                    await self._init()
                place = self._random.choice(self._where)
                if self._is_idempotent:
                    await self._write_ahead(place)
                else:
                    await self._write_once(place)
            except Lost:
                await world.pause(self._random, 0.5)
            await world.pause(self._random, 0.3 if self._random.random() < 0.9 else 3)
        self._sender.close()

    async def _init(self) -> None:
        message = {
            "transactional_id": None,
            "transaction_timeout_ms": 60_000,
            "producer_id": -1,
            "producer_epoch": -1,
        }
        answer = await self._sender.kafka.call(INIT_PRODUCER_ID, 5, message)
        if answer.error_code:
            raise Lost(ErrorCode(answer.error_code).name)
        self._producer_id, self._epoch = answer.producer_id, answer.producer_epoch
        self._incarnation += 1
        self._sequences.clear()
        self._ledger.note(self._name, f"is producer {self._producer_id}", self._name)

    def _records(self, place: Place, count: int) -> list[Sent]:
        made = []
        for _ in range(count):
            self._count += 1
            key = f"k{self._random.randrange(self._keys)}" if self._keys else None
            writer = f"{self._name}.{self._incarnation}"
            made.append(
                self._ledger.send(
                    Sent(
                        value=f"{writer}:{self._count}",
                        writer=writer,
                        number=self._count,
                        place=place,
                        key=key,
                        sent_at=self._ledger.moment(),
                        is_idempotent=self._is_idempotent,
                        is_tombstone=key is not None and self._random.random() < 0.2,
                    )
                )
            )
        return made

    def _batch(self, place: Place, records: list[Sent]) -> bytes:
        sequence = -1
        if self._is_idempotent:
            sequence = self._sequences.get(place, 0)
            self._sequences[place] = sequence + len(records)
        padding = "." * self._random.choice((0, 0, 20, 200, 700))
        now_ms = 1_700_000_000_000 + int(self._world.loop.time() * 1000)
        return build_batch(
            [record_of(record, now_ms, padding) for record in records],
            producer_id=self._producer_id,
            producer_epoch=self._epoch,
            base_sequence=sequence,
        )

    async def _write_once(self, place: Place) -> None:
        records = self._records(place, self._random.randint(1, _MOST_RECORDS))
        data = self._batch(place, records)
        names = f"{records[0].value}+{len(records) - 1}"
        self._ledger.note(self._name, f"sends {names} to {place}", place, self._name)
        try:
            base = await self._sender.send(place, data)
        except Refused as error:
            self._ledger.note(self._name, f"{names} refused: {error}", place, self._name)
            return
        self._acked(records, base)

    def _acked(self, records: list[Sent], base: int) -> None:
        first = records[0]
        self._ledger.note(self._name, f"{first.value} is at {base} of {first.place}", first.place, self._name)
        for number, record in enumerate(records):
            self._ledger.acked(record, base + number)

    async def _write_ahead(self, place: Place) -> None:
        """Sends some batches without waiting for one another, and each again until it is known to be there."""
        batches = []
        # A producer's first batch in a partition may be any, as there is none to compare it with: none may overtake it.
        # And calls of gRPC come in any order.
        most = 1 if not self._sender.is_ordered or place not in self._sequences else 4
        for _ in range(min(self._random.choice((1, 1, 2, 4)), most)):
            records = self._records(place, self._random.randint(1, _MOST_RECORDS))
            batches.append((records, self._batch(place, records)))
            names = f"{records[0].value}+{len(records) - 1}"
            self._ledger.note(self._name, f"sends {names} to {place}", place, self._name)
        while batches and self._producer_id >= 0:
            answers = await asyncio.gather(
                *(self._sender.send(place, data) for _, data in batches), return_exceptions=True
            )
            # Those behind one that failed fail for its sake, and have to be sent again behind it.
            left = []
            for (records, data), answer in zip(batches, answers, strict=True):
                if isinstance(answer, int):
                    self._known(place, records, data, answer)
                    continue
                if isinstance(answer, Refused) and answer.code is ErrorCode.duplicate_sequence_number:
                    # It is there; where is not known any more, because the server was started since.
                    self._ledger.note(self._name, f"{records[0].value} was there", place, self._name)
                    continue
                left.append((records, data))
                if isinstance(answer, Refused):
                    self._ledger.note(self._name, f"{records[0].value} refused: {answer}", place, self._name)
                    if answer.code in _FORGOTTEN and len(batches) == 1:
                        raise Violation(
                            "lost sequence",
                            f"{records[0].value}, the next batch of its producer in {place}, was refused: {answer}",
                            place,
                            self._name,
                        )
                elif not isinstance(answer, Lost):
                    raise answer
            batches = left
            if batches:
                if self._world.is_over and self._world.violation is not None:
                    return
                await self._world.pause(self._random, 0.5)

    def _known(self, place: Place, records: list[Sent], data: bytes, base: int) -> None:
        if base < 0:
            # Known to be there, though not any more where.
            return
        self._acked(records, base)
        batch = Batch(place, data, base, base + len(records) - 1, self._producer_id, self._epoch, self._ledger.moment())
        self._ledger.batches.setdefault((place, records[0].writer), []).append(batch)
