"""Incremental fetch sessions (KIP-227): what a client reads is remembered, so that neither its requests nor the answers
have to name partitions about which there is nothing new.

A session belongs to whoever knows its id, over any connection, and lasts until it is closed or has to make room. How
that is decided is Kafka's way (`FetchSessionCacheShard.tryEvict`): one that has not been used for two minutes goes
first; otherwise one that is at least that old and has fewer partitions than the new one.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from logserver_segments.seams import Random

from logserver.errors import ErrorCode, LogServerError

NO_SESSION: Final = 0
INITIAL_EPOCH: Final = 0
"""Asks for a new session."""
FINAL_EPOCH: Final = -1
"""Asks for none, and closes the one that is named."""

_STALE_MS: Final = 120_000
_MOST_EPOCH: Final = 0x7FFFFFFF
_USUAL_NAME: Final = 250
"""Topics' names are shorter; one that does not exist may be as long as a client likes, and counts as several."""

PartitionKey = tuple[str, int]
"""Topic id, or name where a client knows no ids, and number of a partition."""


class FetchPartition:
    """A partition as a client wants to read it, and what a session has told the client about it."""

    __slots__ = (
        "fetch_offset",
        "high_watermark",
        "last_fetched_epoch",
        "leader_epoch",
        "log_start_offset",
        "max_bytes",
        "number",
        "topic",
        "topic_id",
    )

    def __init__(
        self,
        topic: str | None,
        topic_id: str | None,
        number: int,
        fetch_offset: int,
        max_bytes: int,
        leader_epoch: int,
        last_fetched_epoch: int,
    ) -> None:
        self.topic = topic
        """None as long as nothing with the topic id was found."""
        self.topic_id = topic_id
        """None where the client does not use ids."""
        self.number = number
        self.fetch_offset = fetch_offset
        self.max_bytes = max_bytes
        self.leader_epoch = leader_epoch
        """The one that the client knows, or -1."""
        self.last_fetched_epoch = last_fetched_epoch
        """Of the last record that the client has, or -1."""
        self.high_watermark = -1
        self.log_start_offset = -1

    @property
    def key(self) -> PartitionKey:
        """What it is known by in a session."""
        return self.topic_id or self.topic or "", self.number

    def ask_again(self, asked: "FetchPartition") -> None:
        """Takes up what a later request wants of it."""
        self.fetch_offset = asked.fetch_offset
        self.max_bytes = asked.max_bytes
        self.leader_epoch = asked.leader_epoch
        self.last_fetched_epoch = asked.last_fetched_epoch

    def told(self, high_watermark: int, log_start_offset: int) -> bool:
        """Takes up what is to be told to the client; returns whether that is news."""
        if self.high_watermark == high_watermark and self.log_start_offset == log_start_offset:
            return False
        self.high_watermark, self.log_start_offset = high_watermark, log_start_offset
        return True


class FetchSession:
    """One session; its partitions are in the order in which they are to be read."""

    __slots__ = ("created_ms", "epoch", "id", "partitions", "size", "used_ms", "uses_topic_ids")

    def __init__(
        self, session_id: int, partitions: dict[PartitionKey, FetchPartition], uses_topic_ids: bool, now_ms: float
    ) -> None:
        self.id = session_id
        self.partitions = partitions
        self.uses_topic_ids = uses_topic_ids
        self.size = size_of(partitions)
        """What it counts against the limit on partitions."""
        self.created_ms = self.used_ms = now_ms
        self.epoch = next_epoch(INITIAL_EPOCH)
        """That the next request is to name."""

    def update(self, asked: Iterable[FetchPartition], forgotten: Iterable[PartitionKey]) -> None:
        """Adds, changes and removes partitions."""
        for partition in asked:
            key = partition.key
            known = self.partitions.setdefault(key, partition)
            if known is partition:
                self.size += size_of((key,))
            else:
                known.ask_again(partition)
        for key in forgotten:
            if self.partitions.pop(key, None) is not None:
                self.size -= size_of((key,))

    def read_last(self, partition: FetchPartition) -> None:
        """Puts a partition that gave data behind the others, so that each gets its turn within a limit on bytes."""
        key = partition.key
        if self.partitions.pop(key, None) is not None:
            self.partitions[key] = partition


def size_of(keys: Iterable[PartitionKey]) -> int:
    """Returns what partitions count against the limit on them."""
    return sum(1 + len(name) // _USUAL_NAME for name, _ in keys)


def next_epoch(epoch: int) -> int:
    """Returns the epoch that follows one in a session."""
    if epoch < 0:
        return FINAL_EPOCH
    return 1 if epoch == _MOST_EPOCH else epoch + 1


class FetchSessions:
    """All sessions.

    Args:
        limit: how many there may be (`max.incremental.fetch.session.cache.slots`).
        most_partitions: how many they may have together (`max.incremental.fetch.session.cache.partitions`).
    """

    def __init__(self, limit: int, most_partitions: int, random: Random) -> None:
        self._limit = limit
        self._most_partitions = most_partitions
        self._random = random
        # In the order of last use.
        self._sessions: dict[int, FetchSession] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def close(self, session_id: int) -> None:
        """Forgets a session; fine if there is none."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._size -= session.size

    def go_on(
        self,
        session_id: int,
        epoch: int,
        uses_topic_ids: bool,
        asked: Iterable[FetchPartition],
        forgotten: Iterable[PartitionKey],
        now_ms: float,
    ) -> FetchSession | None:
        """Returns a session for the next request of it; None if no partitions are left, which ends it.

        Raises:
            LogServerError: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, or FETCH_SESSION_TOPIC_ID_ERROR
                where the client had begun it with ids and now has none, or the other way round.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise LogServerError(
                ErrorCode.fetch_session_id_not_found, f"fetch session {session_id} is not there any more; begin another"
            )
        if session.epoch != epoch:
            raise LogServerError(
                ErrorCode.invalid_fetch_session_epoch,
                f"fetch session {session_id} is at epoch {session.epoch}, the request at {epoch}",
            )
        if session.uses_topic_ids != uses_topic_ids:
            raise LogServerError(
                ErrorCode.fetch_session_topic_id_error,
                f"fetch session {session_id} was begun {'with' if session.uses_topic_ids else 'without'} topic ids",
            )
        self.close(session_id)
        session.update(asked, forgotten)
        if not session.partitions:
            return None
        if self._size + session.size > self._most_partitions:
            raise LogServerError(
                ErrorCode.fetch_session_id_not_found, f"there is no room for more partitions in session {session_id}"
            )
        self._sessions[session_id] = session
        self._size += session.size
        session.used_ms = now_ms
        session.epoch = next_epoch(epoch)
        return session

    def begin(self, partitions: Mapping[PartitionKey, FetchPartition], uses_topic_ids: bool, now_ms: float) -> int:
        """Returns the id of a new session; `NO_SESSION` if there is no room for it."""
        size = size_of(partitions)
        if size > self._most_partitions:
            return NO_SESSION
        while len(self._sessions) >= self._limit or self._size + size > self._most_partitions:
            if not self._evict(size, now_ms):
                return NO_SESSION
        session_id = NO_SESSION
        while session_id == NO_SESSION or session_id in self._sessions:
            session_id = int.from_bytes(self._random.randbytes(4)) & 0x7FFFFFFF
        self._sessions[session_id] = FetchSession(session_id, dict(partitions), uses_topic_ids, now_ms)
        self._size += size
        return session_id

    def _evict(self, size: int, now_ms: float) -> bool:
        """Makes room for a session of so many partitions; returns whether that was possible."""
        if not self._sessions:
            return False
        oldest = next(iter(self._sessions.values()))
        if now_ms - oldest.used_ms > _STALE_MS:
            self.close(oldest.id)
            return True
        old = [session for session in self._sessions.values() if now_ms - session.created_ms > _STALE_MS]
        smallest = min(old, key=lambda session: session.size, default=None)
        if smallest is None or smallest.size >= size:
            return False
        self.close(smallest.id)
        return True
