"""The short way for Fetch: there is enough to read, in memory, and the client has no session.

That is a consumer that follows what is written, with most clients. It is answered while it is read, without an object
that could wait. Whatever is not that simple goes the long way (`apis/fetch.py`): nothing is refused here, and nothing
told that is not told there.
"""

import math
from collections.abc import Collection, Sequence
from struct import Struct as Packed
from typing import TYPE_CHECKING, Final

from logserver_records.batch import Buffer

from logserver.broker import Broker, Partition
from logserver.broker.fetch_sessions import FINAL_EPOCH, NO_SESSION, FetchPartition
from logserver.errors import LogServerError
from logserver.kafka_api.api import Cancel
from logserver.kafka_api.codec import MalformedMessage, response_header_is_flexible
from logserver.kafka_api.fetch_request import REPLICA_STATE, read_fetch
from logserver.kafka_api.fetch_response import AnsweredPartition, FetchResponse, write_fetch
from logserver.kafka_api.pending_fetch import FetchedPartition

if TYPE_CHECKING:
    from logserver.kafka_api.connection import Connection

_KEY: Final = 1
_LOWEST: Final = 11
"""The first version without errors of its own."""
_SESSION: Final = Packed(">12xbii")
"""Isolation level, session id and epoch, behind three numbers; the replica id may come before them."""
_REPLICA_ID_BYTES: Final = 4
_UNCOMMITTED: Final = 0
_HEAD: Final = Packed(">ii")


class _Answered:
    """A response that is there at once; see `api.Place`."""

    __slots__ = ("cancel", "chunks", "size_bytes")

    def __init__(self, chunks: Sequence[Buffer]) -> None:
        self.size_bytes = 0
        self.chunks: Sequence[Buffer] | None = chunks
        self.cancel: Cancel | None = None

    def late(self, now_s: float) -> float:
        """See `api.Place`: it never is."""
        return math.inf


class QuickFetch:
    """The short way of one version; see `api.Quick`."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._session_at = 0 if version >= REPLICA_STATE else _REPLICA_ID_BYTES
        self._tags = b"\x00" if response_header_is_flexible(_KEY, version) else b""

    def __call__(
        self, connection: "Connection", correlation_id: int, data: bytearray, begin: int, end: int
    ) -> _Answered | None:
        at = begin + self._session_at
        if end - at < _SESSION.size:
            return None
        isolation, session_id, session_epoch = _SESSION.unpack_from(data, at)
        if isolation != _UNCOMMITTED or session_id != NO_SESSION or session_epoch != FINAL_EPOCH:
            return None
        services = connection.client.services
        try:
            with memoryview(data) as view, view[begin:end] as message:
                request = read_fetch(message, self._version, services.settings.request_max_elements)
            if request.replica_id >= 0 or request.forgotten:
                return None
            broker: Broker = services.broker
            max_bytes = min(request.max_bytes, broker.settings.fetch_max_bytes)
            found = self._read(broker, request.partitions.values(), min(request.min_bytes, max_bytes), max_bytes)
        except (LogServerError, MalformedMessage):
            # It will be told.
            return None
        if found is None:
            return None
        chunks = write_fetch(FetchResponse(partitions=found), self._version)
        size = sum(map(len, chunks))
        head = _HEAD.pack(size + 4 + len(self._tags), correlation_id) + self._tags
        connection.unsent_bytes += len(head) + size
        return _Answered((head, *chunks))

    def _read(
        self, broker: Broker, wanted: Collection[FetchPartition], min_bytes: int, max_bytes: int
    ) -> list[AnsweredPartition] | None:
        """Reads partitions in turn, as `PendingFetch`; None if not all is there at once."""
        places = []
        has_news = False
        for asked in wanted:
            partition = _partition(broker, asked)
            if partition is None or asked.last_fetched_epoch >= 0:
                return None
            if asked.leader_epoch >= 0:
                partition.check_epoch(asked.leader_epoch)
            log = partition.log
            if log is None or not log.log_start_offset <= asked.fetch_offset <= log.log_end_offset:
                return None
            end = log.committed_offset
            has_news = has_news or asked.fetch_offset < end
            places.append((asked, partition, end))
        if not has_news:
            return None
        answered = []
        size_bytes = 0
        is_enough = False
        for asked, partition, end in places:
            result = FetchedPartition(asked)
            result.partition = partition
            answered.append(AnsweredPartition(result, 0))
            limit = min(asked.max_bytes, max_bytes - size_bytes)
            if asked.fetch_offset >= end or (limit <= 0 and size_bytes):
                continue
            found = partition.read_at_once(asked.fetch_offset, max(limit, 0))
            if found is None:
                return None
            size = len(found.data)
            if size > limit and size_bytes:
                is_enough = True
            elif size:
                result.chunks.append(found.data)
                size_bytes += size
                is_enough = is_enough or found.next_offset < end
        return answered if is_enough or size_bytes >= min_bytes else None


def _partition(broker: Broker, asked: FetchPartition) -> Partition | None:
    name = asked.topic
    topic = broker.find_topic_by_id(asked.topic_id or "") if name is None else broker.find_topic(name)
    if topic is None or not 0 <= asked.number < len(topic.partitions):
        return None
    return topic.partitions[asked.number]


def quick(version: int) -> QuickFetch | None:
    """Returns the short way of a version, if it has one."""
    return QuickFetch(version) if version >= _LOWEST else None
