"""The queues that were declared, as the metadata store keeps them."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from logserver.broker.following import Follower
from logserver.coordinator.delivery.moves import Destination
from logserver.coordinator.delivery.policy import Backoff, Counter, Limit, Policy
from logserver.errors import ErrorCode, LogServerError
from logserver.metadata import Compare, Delete, Event, MetadataStore, Put

QUEUES_PREFIX: Final = b"/queues/"

DEFAULT_LIMIT: Final = 5
"""Deliveries of a message of a queue with dead letters, unless it says otherwise. Without dead letters there is no
limit: nothing is dropped that nobody has asked to drop."""


class QueueSource(NamedTuple):
    """Records that are for a queue."""

    topic: str
    from_offset: int | None = None
    """Of each partition; None: its first record, or as was said when the queue was declared."""
    until_offset: int | None = None
    """Exclusive; None: open."""
    filter_id: str = ""
    """Names a filter; none is known yet."""


class QueueRecord(NamedTuple):
    """A queue that was declared; times in milliseconds."""

    name: str
    incarnation: str
    """Changes when a queue of this name is made anew."""
    sources: tuple[QueueSource, ...]
    """Its own topic is the first."""
    lock_ms: int = 30_000
    max_deliveries: int | None = None
    """0: without end; None: as `DEFAULT_LIMIT` says."""
    counter: str = Counter.ACQUISITIONS.value
    retry_delay_ms: int = 0
    retry_factor: float = 2.0
    retry_delay_max_ms: int = 3_600_000
    retry_jitter: float = 0.0
    dead_letter_topic: str = ""
    lapse_is_failure: bool = True
    max_unsettled: int = 120_000
    hold: bool = False

    @property
    def topic(self) -> str:
        return self.sources[0].topic

    @property
    def policy(self) -> Policy:
        """What the engine does with the queue's records."""
        count = self.max_deliveries
        if count is None:
            count = DEFAULT_LIMIT if self.dead_letter_topic else 0
        return Policy(
            Limit(count or None, Counter(self.counter)),
            Backoff(self.retry_delay_ms, self.retry_factor, self.retry_delay_max_ms, self.retry_jitter),
            Destination(self.dead_letter_topic) if self.dead_letter_topic else None,
            self.lapse_is_failure,
            self.max_unsettled,
        )

    @property
    def key(self) -> bytes:
        """The key in the metadata store."""
        return QUEUES_PREFIX + self.name.encode()

    def to_value(self) -> bytes:
        """The value in the metadata store."""
        fields = self._asdict()
        del fields["name"]
        fields["sources"] = [source._asdict() for source in self.sources]
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_value(key: bytes, value: bytes) -> "QueueRecord":
        """Reads a key and value of the metadata store; raises ValueError, KeyError or TypeError if it can't."""
        fields: Any = json.loads(value)
        if not isinstance(fields, dict):
            raise TypeError("it is no JSON object")
        sources = tuple(QueueSource(**source) for source in fields.pop("sources"))
        return QueueRecord(name=key.removeprefix(QUEUES_PREFIX).decode(), sources=sources, **fields)


class QueueCatalog:
    """The declared queues of this node's image of the store.

    Args:
        changed: called with a queue's name when it is there, has changed, or is gone.
    """

    def __init__(self, store: MetadataStore, changed: Callable[[str], None]) -> None:
        self._queues: dict[str, QueueRecord] = {}
        self._changed = changed
        self._following = Follower(store, QUEUES_PREFIX, self._apply, lambda: None, "queues")

    def start(self) -> None:
        """Takes up all queues of the store, and follows changes.

        Raises:
            LogServerError: the store holds a queue that this version can't read.
        """
        self._following.start()

    async def stop(self) -> None:
        """Ends following."""
        await self._following.stop()

    def abandon(self) -> None:
        """Ends following at once, and answers nobody."""
        self._following.cancel()

    def __iter__(self) -> Iterator[QueueRecord]:
        return iter(tuple(self._queues.values()))

    def find(self, name: str) -> QueueRecord | None:
        """Returns a declared queue, None if there is none."""
        return self._queues.get(name)

    async def put(self, record: QueueRecord, known: QueueRecord | None) -> bool:
        """Writes a queue; returns whether `known` was what there was.

        Raises:
            LogServerError: it can't be written.
        """
        compare = Compare(record.key, mod_revision=0) if known is None else Compare(record.key, value=known.to_value())
        return await self._following.change((compare,), (Put(record.key, record.to_value()),))

    async def delete(self, record: QueueRecord) -> bool:
        """Forgets a queue; returns whether it was there as given.

        Raises:
            LogServerError: it can't be written.
        """
        return await self._following.change((Compare(record.key, value=record.to_value()),), (Delete(record.key),))

    def _apply(self, event: Event) -> Iterator[None]:
        name = event.key.removeprefix(QUEUES_PREFIX).decode()
        if event.value is None:
            self._queues.pop(name, None)
        else:
            try:
                self._queues[name] = QueueRecord.from_value(event.key, event.value)
            except (ValueError, KeyError, TypeError) as error:
                raise LogServerError(
                    ErrorCode.unknown_server_error,
                    f"the queue {name!r} can't be read by this version of the server: {error}",
                ) from error
        self._changed(name)
        yield
