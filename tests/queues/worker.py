"""A consumer of a queue that speaks the wire protocol and nothing else, so that a test says what is sent when."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import grpc
from logserver_records.batch import whole_batches
from logserver_records.codec import decode_batch
from logserverpb.v1 import common_pb2, queues_pb2, queues_pb2_grpc


class Message(NamedTuple):
    """One message, with its handle."""

    partition: int
    offset: int
    number: int
    value: bytes
    headers: dict[str, bytes | None]
    deliveries: int
    failures: int
    redelivered: bool

    def settlement(self, outcome: queues_pb2.Outcome = queues_pb2.OUTCOME_ACKNOWLEDGE, **more: Any) -> Any:
        return queues_pb2.Settlement(
            partition=self.partition, first=self.offset, last=self.offset, number=self.number, outcome=outcome, **more
        )


def messages(delivered: queues_pb2.DeliveredRecords) -> list[Message]:
    """Returns what was delivered; every record of a range is there."""
    records = {}
    for position, _ in whole_batches(delivered.batches):
        for record in decode_batch(delivered.batches, position, max_decompressed_bytes=1 << 20):
            records[record.offset] = record
    return [
        Message(
            delivered.partition,
            offset,
            found.number,
            records[offset].value or b"",
            dict(records[offset].headers),
            found.deliveries,
            found.failures,
            found.redelivered,
        )
        for found in delivered.ranges
        for offset in range(found.first, found.last + 1)
    ]


class Queues:
    """Unary calls."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self.stub: Any = queues_pb2_grpc.QueuesStub(self.channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Queues:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def declare(self, name: str, partitions: int = 1, **policy: Any) -> Any:
        request = queues_pb2.DeclareQueueRequest(
            name=name, partitions=partitions, policy=queues_pb2.QueuePolicy(**policy)
        )
        return self.stub.DeclareQueue(request, timeout=10).queue

    def send(self, name: str, *values: bytes) -> None:
        records = [common_pb2.Record(value=value) for value in values]
        self.stub.Send(queues_pb2.SendRequest(queue=name, messages=common_pb2.RecordList(records=records)), timeout=10)

    def describe(self, name: str) -> Any:
        return self.stub.DescribeQueue(queues_pb2.DescribeQueueRequest(name=name), timeout=10).queue

    def counts(self, name: str) -> tuple[int, int, int, int]:
        """Returns ready, delayed, in flight, moving."""
        found = self.describe(name).counts
        return found.ready, found.delayed, found.in_flight, found.moving

    def receive(self, name: str, most: int = 10, wait_ms: int = 0, **more: Any) -> list[Message]:
        request = queues_pb2.ReceiveRequest(queue=name, max_messages=most, wait_ms=wait_ms, **more)
        return [message for found in self.stub.Receive(request, timeout=10).delivered for message in messages(found)]

    def settle(self, name: str, *settlements: Any, latest: bool = False) -> list[int]:
        """Returns the places of what was refused."""
        request = queues_pb2.SettleRequest(
            queue=name, incarnation=self.describe(name).incarnation, settlements=settlements, latest=latest
        )
        return [refused.index for refused in self.stub.Settle(request, timeout=10).refused]


class Worker:
    """One Consume stream."""

    def __init__(self, queues: Queues, name: str, prefetch: int = 0, **more: Any) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._responses: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._got: list[Message] = []
        self._id = 0
        start = queues_pb2.ConsumeStart(queue=name, prefetch=prefetch, **more)
        self._requests.put(queues_pb2.ConsumeRequest(start=start))
        self._call = queues.stub.Consume(iter(self._requests.get, None))
        threading.Thread(target=self._read, daemon=True).start()
        self.started = self.response("started")

    def _read(self) -> None:
        try:
            for response in self._call:
                self._responses.put(response)
        except grpc.RpcError as error:
            self._responses.put(error)
        self._responses.put(None)

    def response(self, kind: str, timeout_s: float = 10) -> Any:
        """Returns the next response of a kind; messages that come before are kept."""
        while True:
            response = self._responses.get(timeout=timeout_s)
            if response is None or isinstance(response, grpc.RpcError):
                raise AssertionError(f"the stream has ended instead of saying {kind}: {response}")
            found = response.WhichOneof("response")
            if found == "delivered":
                self._got += messages(response.delivered)
            if found == kind:
                return getattr(response, kind)

    def take(self, count: int = 1) -> list[Message]:
        """Returns the next messages."""
        while len(self._got) < count:
            self.response("delivered")
        taken, self._got = self._got[:count], self._got[count:]
        return taken

    def settle(self, *settlements: Any) -> list[int]:
        """Settles, and returns the places of what was refused once all is durable."""
        self._id += 1
        command = queues_pb2.ConsumeSettle(id=self._id, settlements=settlements)
        self._requests.put(queues_pb2.ConsumeRequest(settle=command))
        refused: list[int] = []
        while True:
            answer = self.response("settled")
            refused += [found.index for found in answer.refused if found.id == self._id]
            if answer.id >= self._id:
                return refused

    def prefetch(self, count: int) -> None:
        self._requests.put(queues_pb2.ConsumeRequest(prefetch=queues_pb2.ConsumePrefetch(prefetch=count)))

    def idle(self) -> Iterator[Message]:
        """Yields what has come unasked."""
        while not self._responses.empty():
            response = self._responses.get()
            if response is not None and response.WhichOneof("response") == "delivered":
                self._got += messages(response.delivered)
        yield from self._got

    def end(self) -> grpc.StatusCode | None:
        """Returns how the stream ended; waits for that."""
        while True:
            response = self._responses.get(timeout=10)
            if response is None:
                return None
            if isinstance(response, grpc.RpcError):
                return response.code()

    def close(self) -> None:
        """Ends the client's side, and waits until what was settled is answered and the rest given back."""
        self._requests.put(None)
        self.end()

    def vanish(self) -> None:
        """Is gone at once."""
        self._call.cancel()
