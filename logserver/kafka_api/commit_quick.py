"""The short way for OffsetCommit: requests of one offset without metadata, like many before.

A consumer of one partition sends the same bytes again and again up to its offset: group, generation, member, topic,
partition. What they say is kept by these very bytes, with the key of its record and the response. Whatever is not that
simple, or is refused, goes the long way (`apis/offset_commit.py`): nothing is refused here, and nothing let through
that is refused there.
"""

import math
from collections.abc import Sequence
from struct import Struct as Packed
from typing import TYPE_CHECKING, Final

from logserver_records.batch import Buffer

from logserver.coordinator import Commit, StandingCommit
from logserver.errors import LogServerError
from logserver.kafka_api.api import Cancel, Place
from logserver.kafka_api.codec import (
    Budget,
    MalformedMessage,
    header_is_flexible,
    read_within,
    write_request,
    write_response,
)

if TYPE_CHECKING:
    from logserver.kafka_api.connection import Connection

_KEY: Final = 8
_LEADER_EPOCHS: Final = 6
"""The first version that has them."""
_INSTANCE_IDS: Final = 7
_TOPIC_IDS: Final = 10
_RETENTION: Final = range(2, 5)
"""Versions that say for how long the offset is to be kept."""
_MOST_BYTES: Final = 512
"""With more up to the offset a request is nothing that should be kept."""
_MOST_TARGETS: Final = 8192
"""So many are remembered, of all versions together."""
_MOST_ELEMENTS: Final = 4
"""Of a simple request: a topic, a partition."""

_RESPONSE_HEAD: Final = Packed(">ii")
_OFFSET: Final = Packed(">q")
_OFFSET_AND_EPOCH: Final = Packed(">qi")
_NO_LEADER_EPOCH: Final = -1
_UUID_BYTES: Final = 16
_ONE: Final = b"\x00\x00\x00\x01"
_COMPACT_ONE: Final = 2


class _Target:
    """What the beginning of a request says.

    Args:
        topic: its name, or its id where requests have that.
        response: when all went well, behind the correlation id.
    """

    __slots__ = ("_commit", "committer", "number", "response", "size", "topic")

    def __init__(self, committer: Commit, topic: str, number: int, response: bytes) -> None:
        self.committer = committer
        self.topic = topic
        self.number = number
        self.response = response
        self.size = len(response) + 4
        self._commit: StandingCommit | None = None

    def commit(self, topic: str) -> StandingCommit:
        """Returns the commit for a topic of that name."""
        commit = self._commit
        if commit is None or commit.key.topic != topic:
            commit = self._commit = StandingCommit(self.committer, topic, self.number)
        return commit


class _Targets:
    """What is remembered, of all versions together."""

    def __init__(self) -> None:
        self._versions: list[dict[bytes, _Target]] = []

    def of_version(self) -> dict[bytes, _Target]:
        """Returns what one version remembers, by the beginning of the request; nothing yet."""
        found: dict[bytes, _Target] = {}
        self._versions.append(found)
        return found

    def make_room(self) -> None:
        """Forgets everything if it is too much for one more."""
        if sum(map(len, self._versions)) >= _MOST_TARGETS:
            for version in self._versions:
                version.clear()


_targets: Final = _Targets()


class QuickCommit:
    """The short way of one version; see `api.Quick`."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._is_flexible = header_is_flexible(_KEY, version)
        self._has_ids = version >= _TOPIC_IDS
        self._has_epochs = version >= _LEADER_EPOCHS
        # Metadata that are empty or null, then tagged fields of the partition, the topic and the request.
        self._tails = (b"\x01\0\0\0", b"\0\0\0\0") if self._is_flexible else (b"\0\0", b"\xff\xff")
        self._rest_bytes = (_OFFSET_AND_EPOCH if self._has_epochs else _OFFSET).size + len(self._tails[0])
        self._targets = _targets.of_version()

    def __call__(
        self, connection: "Connection", correlation_id: int, data: bytearray, begin: int, end: int
    ) -> bytes | Place | None:
        position = end - self._rest_bytes
        # What waits for its turn is before this one.
        if position <= begin or connection.has_tasks or not data.endswith(self._tails, position, end):
            return None
        known = bytes(data[begin:position])
        target = self._targets.get(known)
        if target is None:
            target = self._learn(known)
            if target is None:
                return None
        if self._has_epochs:
            offset, leader_epoch = _OFFSET_AND_EPOCH.unpack_from(data, position)
        else:
            (offset,) = _OFFSET.unpack_from(data, position)
            leader_epoch = _NO_LEADER_EPOCH
        services = connection.client.services
        name = target.topic
        if self._has_ids:
            topic = services.groups.topics.by_id(name)
            if topic is None:
                return None
            name = topic.name
        runtime = services.groups.find_shard(target.committer.group_id)
        if runtime is None or not runtime.commit_at_once(target.commit(name), offset, leader_epoch):
            return None
        if runtime.is_settled:
            return _RESPONSE_HEAD.pack(target.size, correlation_id) + target.response
        waiting = _Waiting(connection, self, correlation_id, target, end - begin)
        runtime.when_settled(waiting.settled)
        return waiting

    def response(self, target: _Target, code: int) -> bytes:
        """Returns a response behind the correlation id."""
        return (b"\0" if self._is_flexible else b"") + self._body(target.topic, target.number, code)

    def _body(self, topic: str, number: int, code: int) -> bytes:
        named = {"topic_id" if self._has_ids else "name": topic}
        partition = {"partition_index": number, "error_code": code}
        return write_response(_KEY, self._version, {"topics": [{**named, "partitions": [partition]}]})

    # What is new

    def _learn(self, known: bytes) -> _Target | None:
        """Returns what the beginning of a request says, and remembers it; None if it is not of the simple kind."""
        if len(known) > _MOST_BYTES or not self._may_be_simple(known):
            return None
        whole = known + bytes(self._rest_bytes - len(self._tails[0])) + self._tails[0]
        try:
            request = read_within(_KEY, self._version, memoryview(whole), Budget(_MOST_ELEMENTS))
        except MalformedMessage:
            return None
        # Nothing that could be said in two ways.
        if len(request.topics) != 1 or write_request(_KEY, self._version, request) != whole:
            return None
        (topic,) = request.topics
        if len(topic.partitions) != 1:
            return None
        (partition,) = topic.partitions
        committer = Commit(
            request.group_id,
            request.member_id,
            request.generation_id_or_member_epoch,
            (),
            request.group_instance_id,
        )
        name = topic.topic_id if self._has_ids else topic.name
        number = partition.partition_index
        target = _Target(committer, name, number, b"")
        target.response = self.response(target, 0)
        target.size = len(target.response) + 4
        _targets.make_room()
        self._targets[known] = target
        return target

    def _may_be_simple(self, known: bytes) -> bool:
        """Whether there seems to be one topic and one partition: those of many are not to be read twice."""
        try:
            return self._counts_one(known)
        except IndexError:
            return False

    def _counts_one(self, known: bytes) -> bool:
        texts = 2 if self._version >= _INSTANCE_IDS else 1
        if not self._is_flexible:
            at = 2 + (known[0] << 8 | known[1]) + 4
            for _ in range(texts):
                size = known[at] << 8 | known[at + 1]
                at += 2 + (size if size != 0xFFFF else 0)
            at += _OFFSET.size if self._version in _RETENTION else 0
            return known[at : at + 4] == _ONE and known[-8:-4] == _ONE
        at = known[0] + 4
        for _ in range(texts):
            at += known[at] or 1
        return known[at] == _COMPACT_ONE and known[-5] == _COMPACT_ONE


class _Waiting:
    """A commit that is written, and to be answered when it is durable."""

    __slots__ = ("_connection", "_correlation_id", "_quick", "_target", "cancel", "chunks", "size_bytes")

    def __init__(
        self, connection: "Connection", quick: QuickCommit, correlation_id: int, target: _Target, size_bytes: int
    ) -> None:
        self._connection = connection
        self._quick = quick
        self._correlation_id = correlation_id
        self._target = target
        self.size_bytes = size_bytes
        self.chunks: Sequence[Buffer] | None = None
        self.cancel: Cancel | None = None

    def settled(self, error: LogServerError | None) -> None:
        """Takes the report that the commit is durable, or won't be."""
        target = self._target
        response = target.response if error is None else self._quick.response(target, error.code.value)
        chunk = _RESPONSE_HEAD.pack(len(response) + 4, self._correlation_id) + response
        self.chunks = (chunk,)
        self._connection.unsent_bytes += len(chunk)
        self._connection.answered()

    def late(self, now_s: float) -> float:
        """See `Place`: a coordinator is waited for until it answers."""
        return math.inf


def quick(version: int) -> QuickCommit:
    """Returns the short way of a version."""
    return QuickCommit(version)
