"""The short way for Produce: requests of one batch for one partition, like many before.

A client that does not batch sends the same bytes again and again up to its records: acks, timeout, topic, partition.
What they say is kept by these very bytes, with a response that needs only its offsets filled in. Whatever is not that
simple, or fails, goes the long way (`apis/produce.py`): nothing is refused here, and nothing let through that is
refused there.
"""

import asyncio
import math
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from struct import Struct as Packed
from typing import TYPE_CHECKING, Final

from logserver_records.batch import (
    COMPRESSION_MASK,
    HEADER_SIZE,
    LENGTH_OVERHEAD,
    MAGIC,
    TRANSACTIONAL_MASK,
    Buffer,
)
from logserver_records.compression import Compression
from logserver_segments.partition_log import Appended

from logserver.broker import Broker
from logserver.broker.topics import Topic
from logserver.errors import LogServerError
from logserver.kafka_api.api import Cancel, Place
from logserver.kafka_api.errors import without_trace
from logserver.kafka_api.produce_request import FLEXIBLE, TOPIC_IDS, ProducePartition
from logserver.kafka_api.produce_response import ProducedPartition, endpoint_of, timed_out, wait_ms_of, write_produce

if TYPE_CHECKING:
    from logserver.kafka_api.connection import Connection

_LOWEST: Final = 5
"""The first version whose response has the log start offset."""
_RECORD_ERRORS: Final = 8
_ZSTD: Final = 7
_ALL: Final = -1
_LEADER: Final = 1
_MOST_TARGETS: Final = 4096
"""So many are remembered for each version."""

_INT16: Final = Packed(">h")
_INT32: Final = Packed(">i")
_ACKS_AND_TIMEOUT: Final = Packed(">hi")
_BATCH: Final = Packed(">qi4xb4xh")
"""Base offset, length, magic, attributes."""
_NO_TAGS: Final = b"\x00\x00\x00"
"""Of the partition, of the topic, of the request."""
_TOPIC_ID_BYTES: Final = 16
_MOST_SHIFT: Final = 28
"""Of the last byte of a varint of 32 bits."""
_MOST_BYTES: Final = 8 * 1024
"""Records of so many bytes never take long, unless they are compressed."""


class _Target:
    """What the beginning of a request says.

    Args:
        topic: its name, or its id where requests have that.
        head: of the response, up to the offsets.
        tail: of the response, behind them.
    """

    __slots__ = ("_head", "_pack", "_size", "_tail", "is_all", "number", "timeout_ms", "topic")

    def __init__(
        self, topic: str, number: int, acks: int, timeout_ms: int, head: bytes, tail: bytes, tags: str
    ) -> None:
        self.topic = topic
        self.number = number
        self.is_all = acks == _ALL
        self.timeout_ms = timeout_ms
        self._head = head
        self._tail = tail
        whole = Packed(f">ii{tags}{len(head)}sqqq{len(tail)}s")
        self._pack = whole.pack
        self._size = whole.size - _INT32.size

    def response(self, correlation_id: int, base_offset: int, append_time_ms: int, log_start_offset: int) -> bytes:
        """Returns the whole response that says that all went well."""
        return self._pack(
            self._size, correlation_id, self._head, base_offset, append_time_ms, log_start_offset, self._tail
        )


class QuickProduce:
    """The short way of one version; see `api.Quick`."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._is_flexible = version >= FLEXIBLE
        self._has_ids = version >= TOPIC_IDS
        self._targets: dict[bytes, _Target] = {}

    def __call__(
        self, connection: "Connection", correlation_id: int, data: bytearray, begin: int, end: int
    ) -> bytes | Place | None:
        if end - begin < HEADER_SIZE + _TOPIC_ID_BYTES or connection.client.preparing is not None:
            return None
        # Up to the length of the records; where it is not so, nothing will be known of these bytes.
        if self._has_ids:
            position = begin + 29
        elif self._is_flexible:
            position = begin + 13 + data[begin + 8]
        else:
            position = begin + 22 + (data[begin + 12] << 8 | data[begin + 13])
        if end - position < HEADER_SIZE + _INT32.size:
            return None
        known = bytes(data[begin:position])
        broker = connection.client.services.broker
        target = self._targets.get(known)
        if target is None:
            target = self._learn(known, broker)
            if target is None:
                return None
        # The records, which must be all that follows.
        if self._is_flexible:
            size = data[position] & 0x7F
            shift = 0
            # Five bytes at most: one that never ends would take for ever.
            while data[position] > 0x7F and shift < _MOST_SHIFT:
                position += 1
                shift += 7
                size |= (data[position] & 0x7F) << shift
            is_whole = data[position] <= 0x7F
            position += 1
            behind = position + size - 1
            if not is_whole or behind + len(_NO_TAGS) != end or not data.endswith(_NO_TAGS, behind, end):
                return None
        else:
            (size,) = _INT32.unpack_from(data, position)
            position += _INT32.size
            behind = end
            if position + size != end:
                return None
        if behind - position < HEADER_SIZE:
            return None
        base_offset, length, magic, attributes = _BATCH.unpack_from(data, position)
        if length + LENGTH_OVERHEAD != behind - position or magic != MAGIC or base_offset:
            return None
        if attributes & TRANSACTIONAL_MASK or (
            self._version < _ZSTD and attributes & COMPRESSION_MASK == Compression.ZSTD
        ):
            return None
        topic = self._topic(broker, target.topic)
        if topic is None or target.number >= len(topic.partitions):
            return None
        partition = topic.partitions[target.number]
        log_start_offset = partition.log_start_offset
        try:
            with memoryview(data) as view, view[position:behind] as records:
                if (attributes & COMPRESSION_MASK or behind - position > _MOST_BYTES) and partition.takes_long(records):
                    return None
                appended = partition.append(records)
        except LogServerError:
            # Nothing was stored: it will be refused again, and told.
            return None
        if not target.is_all or appended.last_offset < partition.high_watermark:
            return target.response(correlation_id, appended.base_offset, appended.append_time_ms, log_start_offset)
        waiting = _Waiting(connection, self._version, correlation_id, target, appended, log_start_offset, end - begin)
        partition.when_committed(appended.last_offset, waiting.committed)
        return waiting

    def _topic(self, broker: Broker, name: str) -> Topic | None:
        return broker.find_topic_by_id(name) if self._has_ids else broker.find_topic(name)

    def _learn(self, known: bytes, broker: Broker) -> _Target | None:
        """Returns what the beginning of a request says, and remembers it; None if it is not of the simple kind."""
        at = 1 if self._is_flexible else 2
        acks, timeout_ms = _ACKS_AND_TIMEOUT.unpack_from(known, at)
        (number,) = _INT32.unpack_from(known, len(known) - 4)
        if acks not in (_ALL, _LEADER) or number < 0:
            return None
        if self._has_ids:
            raw = known[8:24]
            name = urlsafe_b64encode(raw)[:22].decode()
        else:
            raw = known[9:-5] if self._is_flexible else known[14:-8]
            name = raw.decode("utf-8", "replace")
        topic = self._topic(broker, name)
        if topic is None or topic.internal or known != self._beginning(acks, timeout_ms, raw, number):
            return None
        numbered = _INT32.pack(number) + b"\x00\x00"
        if self._is_flexible:
            named = raw if self._has_ids else bytes((len(raw) + 1,)) + raw
            # No record errors, no message, no tagged fields of partition and topic, no throttle time, none of all.
            parts = b"\x02" + named + b"\x02" + numbered, b"\x01" + bytes(8)
        else:
            errors = b"\x00\x00\x00\x00\xff\xff" if self._version >= _RECORD_ERRORS else b""
            one = _INT32.pack(1)
            parts = one + _INT16.pack(len(raw)) + raw + one + numbered, errors + bytes(4)
        target = _Target(name, number, acks, timeout_ms, *parts, "x" if self._is_flexible else "")
        if len(self._targets) >= _MOST_TARGETS:
            self._targets.clear()
        self._targets[known] = target
        return target

    def _beginning(self, acks: int, timeout_ms: int, topic: bytes, number: int) -> bytes:
        """Returns how a request of the simple kind begins."""
        terms = _ACKS_AND_TIMEOUT.pack(acks, timeout_ms)
        if self._has_ids:
            return b"\x00" + terms + b"\x02" + topic + b"\x02" + _INT32.pack(number)
        if self._is_flexible:
            if len(topic) > 126:
                return b""
            return b"\x00" + terms + b"\x02" + bytes((len(topic) + 1,)) + topic + b"\x02" + _INT32.pack(number)
        one = _INT32.pack(1)
        return b"\xff\xff" + terms + one + _INT16.pack(len(topic)) + topic + one + _INT32.pack(number)


class _Waiting:
    """Records that are stored, and to be answered when they are durable."""

    __slots__ = (
        "_appended",
        "_connection",
        "_correlation_id",
        "_deadline_s",
        "_log_start_offset",
        "_target",
        "_version",
        "cancel",
        "chunks",
        "size_bytes",
    )

    def __init__(
        self,
        connection: "Connection",
        version: int,
        correlation_id: int,
        target: _Target,
        appended: Appended,
        log_start_offset: int,
        size_bytes: int,
    ) -> None:
        self._connection = connection
        self._version = version
        self._correlation_id = correlation_id
        self._target = target
        self._appended = appended
        self._log_start_offset = log_start_offset
        self.size_bytes = size_bytes
        self.chunks: Sequence[Buffer] | None = None
        self.cancel: Cancel | None = None
        self._deadline_s = asyncio.get_running_loop().time() + wait_ms_of(target.timeout_ms) / 1000
        connection.ring_at(self._deadline_s)

    def committed(self, error: LogServerError | None) -> None:
        """Takes the report that the records are durable, or won't be."""
        if self.chunks is not None:
            return
        if error is None:
            appended = self._appended
            response = self._target.response(
                self._correlation_id, appended.base_offset, appended.append_time_ms, self._log_start_offset
            )
            self._answer(response)
        else:
            self._fail(error, -1, -1)

    def late(self, now_s: float) -> float:
        """See `Place`."""
        if now_s < self._deadline_s:
            return self._deadline_s
        error = timed_out(wait_ms_of(self._target.timeout_ms))
        self._fail(error, self._appended.base_offset, self._appended.append_time_ms)
        return math.inf

    def _fail(self, error: LogServerError, base_offset: int, append_time_ms: int) -> None:
        target = self._target
        has_ids = self._version >= TOPIC_IDS
        topic, topic_id = ("", target.topic) if has_ids else (target.topic, None)
        result = ProducedPartition(ProducePartition(topic, topic_id, target.number, memoryview(b"")))
        result.error = without_trace(error)
        result.base_offset = base_offset
        result.append_time_ms = append_time_ms
        result.log_start_offset = self._log_start_offset
        body = write_produce((result,), self._version, endpoint_of(self._connection.client))
        header = _INT32.pack(self._correlation_id) + (b"\x00" if self._version >= FLEXIBLE else b"")
        self._answer(b"".join((_INT32.pack(len(header) + len(body)), header, body)))

    def _answer(self, response: bytes) -> None:
        self.chunks = (response,)
        self._connection.unsent_bytes += len(response)
        self._connection.answered()


def quick(version: int) -> QuickProduce | None:
    """Returns the short way of a version, if it has one."""
    return QuickProduce(version) if version >= _LOWEST else None
