"""The response of Fetch, written by hand: the records are chunks of their own, neither joined nor copied."""

from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from struct import Struct as Packed
from typing import Final, NamedTuple

from logserver_records.batch import Buffer
from logserver_records.varint import unsigned_varint

from logserver.errors import ErrorCode
from logserver.kafka_api.pending_fetch import FetchedPartition

_SESSIONS: Final = 7
_FLEXIBLE: Final = 12
_TOPIC_IDS: Final = 13
_ENDPOINTS: Final = 16
_NOT_READ: Final = (
    ErrorCode.unknown_topic_or_partition.value,
    ErrorCode.unknown_topic_id.value,
    ErrorCode.inconsistent_topic_id.value,
)
"""What is refused before the log is asked: there Apache Kafka has an empty list of aborted transactions, not none."""
_NO_TAGS: Final = b"\x00"
_INT32: Final = Packed(">i")
_TOP: Final = Packed(">ihi")
"""Throttle time, error code, session id."""
_PARTITION_4: Final = Packed(">ihqq")
"""Number, error code, high watermark, last stable offset."""
_PARTITION_5: Final = Packed(">ihqqq")
"""With the log start offset behind the last stable offset."""
_REPLICA_AND_SIZE: Final = Packed(">ii")
"""Preferred read replica, bytes of records."""
_ABORTED: Final = Packed(">qq")
"""Producer id, first offset."""
_NO_REPLICA: Final = _INT32.pack(-1)
_NULL: Final = _INT32.pack(-1)
_DIVERGING: Final = Packed(">BBiqx")
"""Tag 0 and its size, epoch, end offset."""
_CURRENT_LEADER: Final = Packed(">BBiix")
"""Tag 1 and its size, node id, leader epoch."""


class Leader(NamedTuple):
    """Who leads a partition now (KIP-951)."""

    node_id: int
    leader_epoch: int


class Endpoint(NamedTuple):
    """Where a node is reached."""

    node_id: int
    host: str
    port: int


class AnsweredPartition(NamedTuple):
    """A partition of the response."""

    fetched: FetchedPartition
    error_code: int
    leader: Leader | None = None


class FetchResponse(NamedTuple):
    """A response of Fetch."""

    session_id: int = 0
    error_code: int = 0
    partitions: Sequence[AnsweredPartition] = ()
    is_read_committed: bool = False
    endpoints: Sequence[Endpoint] = ()


def write_fetch(response: FetchResponse, version: int) -> list[Buffer]:
    """Returns the chunks of a response, of any version from 4 on."""
    if version >= _FLEXIBLE:
        return _flexible(response, version)
    return _plain(response, version)


def _by_topic(partitions: Sequence[AnsweredPartition]) -> list[list[AnsweredPartition]]:
    """Groups partitions of a topic that follow each other (as Kafka: their order tells what was read first)."""
    groups: list[list[AnsweredPartition]] = []
    before = None
    for one in partitions:
        topic = one.fetched.asked.key[0]
        if topic != before:
            groups.append([])
            before = topic
        groups[-1].append(one)
    return groups


def _plain(response: FetchResponse, version: int) -> list[Buffer]:
    out: list[Buffer] = []
    head = bytearray(_TOP.pack(0, response.error_code, response.session_id) if version >= _SESSIONS else _INT32.pack(0))
    groups = _by_topic(response.partitions)
    head += _INT32.pack(len(groups))
    for group in groups:
        name = (group[0].fetched.asked.topic or "").encode()
        head += len(name).to_bytes(2) + name + _INT32.pack(len(group))
        for one in group:
            fetched = one.fetched
            end, stable = fetched.high_watermark, fetched.last_stable_offset
            number = fetched.asked.number
            size = sum(map(len, fetched.chunks))
            # Their count, then the aborted transactions themselves; none is told to readers of everything.
            aborted = (
                _INT32.pack(len(fetched.aborted)) + b"".join(_aborted(fetched, b""))
                if response.is_read_committed or one.error_code in _NOT_READ
                else _NULL
            )
            if version >= 11:
                start = fetched.log_start_offset
                head += _PARTITION_5.pack(number, one.error_code, end, stable, start) + aborted
                head += _REPLICA_AND_SIZE.pack(-1, size)
            elif version >= 5:
                start = fetched.log_start_offset
                head += _PARTITION_5.pack(number, one.error_code, end, stable, start) + aborted + _INT32.pack(size)
            else:
                head += _PARTITION_4.pack(number, one.error_code, end, stable) + aborted + _INT32.pack(size)
            if size:
                out.append(head)
                out += fetched.chunks
                head = bytearray()
    out.append(head)
    return out


def _flexible(response: FetchResponse, version: int) -> list[Buffer]:
    out: list[Buffer] = []
    groups = _by_topic(response.partitions)
    head = bytearray(_TOP.pack(0, response.error_code, response.session_id))
    head += unsigned_varint(len(groups) + 1)
    for group in groups:
        asked = group[0].fetched.asked
        if version >= _TOPIC_IDS:
            head += urlsafe_b64decode((asked.topic_id or "") + "==")
        else:
            head += _compact((asked.topic or "").encode())
        head += unsigned_varint(len(group) + 1)
        for one in group:
            fetched = one.fetched
            end, stable = fetched.high_watermark, fetched.last_stable_offset
            head += _PARTITION_5.pack(fetched.asked.number, one.error_code, end, stable, fetched.log_start_offset)
            if response.is_read_committed and fetched.aborted:
                head += unsigned_varint(len(fetched.aborted) + 1)
                head += b"".join(_aborted(fetched, _NO_TAGS))
            else:
                # An empty list, or none to readers of everything.
                head.append(response.is_read_committed or one.error_code in _NOT_READ)
            head += _NO_REPLICA
            size = sum(map(len, fetched.chunks))
            head += unsigned_varint(size + 1)
            if size:
                out.append(head)
                out += fetched.chunks
                head = bytearray()
            head += _partition_tags(one)
        head += _NO_TAGS
    head += _endpoints(response.endpoints) if version >= _ENDPOINTS and response.endpoints else _NO_TAGS
    out.append(head)
    return out


def _aborted(fetched: FetchedPartition, tags: bytes) -> Iterator[bytes]:
    """Yields the aborted transactions of a partition, in the order of their first offsets as clients expect them."""
    for one in sorted(fetched.aborted, key=lambda one: one.first_offset):
        yield _ABORTED.pack(one.producer_id, one.first_offset) + tags


def _partition_tags(one: AnsweredPartition) -> bytes:
    diverging = one.fetched.diverging
    if diverging is None and one.leader is None:
        return _NO_TAGS
    tags = []
    if diverging is not None:
        tags.append(_DIVERGING.pack(0, _DIVERGING.size - 2, *diverging))
    if one.leader is not None:
        tags.append(_CURRENT_LEADER.pack(1, _CURRENT_LEADER.size - 2, *one.leader))
    return b"".join((unsigned_varint(len(tags)), *tags))


def _endpoints(endpoints: Sequence[Endpoint]) -> bytes:
    """Returns the tagged fields of the response: tag 0, the nodes that lead partitions of it."""
    nodes = b"".join(
        # Without a rack, and without tagged fields.
        _INT32.pack(node.node_id) + _compact(node.host.encode()) + _INT32.pack(node.port) + b"\x00" + _NO_TAGS
        for node in endpoints
    )
    field = unsigned_varint(len(endpoints) + 1) + nodes
    return b"\x01\x00" + unsigned_varint(len(field)) + field


def _compact(text: bytes) -> bytes:
    return unsigned_varint(len(text) + 1) + text
