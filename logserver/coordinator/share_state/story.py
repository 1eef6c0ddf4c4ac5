"""The story of records in queues: written to `__queue_history` beside their state, and read from there.

It is told before the state is written, so that nothing becomes of a record without its story; but nobody waits for it,
and a power failure may take the last minute of it.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from logserver_records.batch import Buffer, whole_batches
from logserver_records.codec import NewRecord, build_batch, decode_batch
from logserver_records.errors import RecordError
from logserver_segments.logs import get_logger
from logserver_segments.reading import Slice
from logserver_segments.seams import Workers

from logserver.broker import Broker
from logserver.broker.partition import Partition
from logserver.coordinator.delivery.events import Event
from logserver.coordinator.formats import FormatError
from logserver.coordinator.share_state.state_key import StateKey, StateWriter
from logserver.coordinator.share_state.story_format import decode_events, encode_events, story_key
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

QUEUE_HISTORY: Final = "__queue_history"

MOST_EVENTS: Final = 10_000
"""Chapters that one record's story has at most: the last ones."""

_READ_BYTES: Final = 1 << 20
"""Read at a time, and looked through by a worker in one go."""
_MAX_DECOMPRESSED: Final = 64 << 20
_NEVER: Final = (1 << 63) - 1

_LONGEST_SEGMENT_MS: Final = 7 * 24 * 3600 * 1000
_SHORTEST_SEGMENT_MS: Final = 60_000
_FLUSH_MS: Final = 60_000


class Stories:
    """The topic with the stories, made when the first one is to be told."""

    def __init__(self, broker: Broker, workers: Workers) -> None:
        self._broker = broker
        self._workers = workers

    @property
    def are_kept(self) -> bool:
        """Whether the settings ask for them."""
        return self._broker.settings.queue_history_retention_ms != 0

    async def prepare(self, partitions: int) -> None:
        """Makes the topic if it isn't there; if it can't be made, nothing is told."""
        retention_ms = self._broker.settings.queue_history_retention_ms
        if not retention_ms or self._broker.find_topic(QUEUE_HISTORY) is not None:
            return
        segment_ms = _LONGEST_SEGMENT_MS
        if retention_ms > 0:
            # What is kept too long is a segment at most.
            segment_ms = min(max(retention_ms // 10, _SHORTEST_SEGMENT_MS), _LONGEST_SEGMENT_MS)
        settings = {
            "cleanup.policy": "delete",
            "retention.ms": str(retention_ms),
            "segment.ms": str(segment_ms),
            # An append counts at once, and its flush costs the other logs little.
            "flush.messages": str(_NEVER),
            "flush.ms": str(_FLUSH_MS),
        }
        try:
            await self._broker.create_internal_topic(QUEUE_HISTORY, partitions, settings)
        except LogServerError as error:
            _log.warning("no story is told of what is in queues", topic=QUEUE_HISTORY, reason=error.message)

    def partition(self, number: int) -> Partition | None:
        """Returns where the keys of a partition of `__share_group_state` have their stories; None before there is
        any."""
        topic = self._broker.find_topic(QUEUE_HISTORY)
        return None if topic is None else topic.partitions[number % len(topic.partitions)]

    async def read(self, number: int, key: StateKey, offset: int) -> list[Event]:
        """Returns the story of one record, as far as it is kept: its last chapters if there are very many.

        Args:
            number: of the partition that keeps the key's state.

        Raises:
            LogServerError: CORRUPT_MESSAGE, or it can't be read.
        """
        found: deque[Event] = deque(maxlen=MOST_EVENTS)
        partition = self.partition(number)
        if partition is None:
            return []
        if partition.unavailable is not None:
            raise partition.unavailable
        wanted = story_key(key)
        at = partition.log_start_offset
        while at < partition.high_watermark:
            # Retention may have gone on meanwhile.
            read = partition.read(max(at, partition.log_start_offset), _READ_BYTES)
            piece = read if isinstance(read, Slice) else await read
            if piece.next_offset <= at:
                break
            try:
                found += await self._workers.run(_chapters, bytes(piece.data), wanted, offset)
            except (FormatError, RecordError) as error:
                message = f"the story kept in {partition} can't be read from offset {at} on: {error}"
                raise LogServerError(ErrorCode.corrupt_message, message) from error
            at = piece.next_offset
        return list(found)


def _chapters(data: Buffer, key: bytes, offset: int) -> list[Event]:
    """Returns what batches tell of one record."""
    data = bytes(data)
    found: list[Event] = []
    for position, header in whole_batches(data):
        end = position + header.size
        # Most batches are of others, and need not be taken apart.
        if not header.compression and data.find(key, position, end) < 0:
            continue
        for record in decode_batch(data, position, max_decompressed_bytes=_MAX_DECOMPRESSED, verify_crc=True):
            if record.key == key and record.value is not None:
                found += [event for event in decode_events(record.value) if event.first <= offset <= event.last]
    return found


class Teller:
    """Tells the stories of the keys of one partition of `__share_group_state`.

    Args:
        number: of that partition.
    """

    def __init__(self, stories: Stories, number: int) -> None:
        self._stories = stories
        self._number = number
        self._records: list[NewRecord] = []

    def tell(self, key: StateKey, writer: StateWriter, now_ms: int) -> None:
        """Takes what a writer has to tell, to be written with others' by `write`."""
        events: Sequence[Event] = writer.take_events()
        if events and self._stories.are_kept:
            self._records.append((now_ms, story_key(key), encode_events(events), ()))

    def write(self) -> None:
        """Writes what was told."""
        if not self._records:
            return
        records, self._records = self._records, []
        partition = self._stories.partition(self._number)
        if partition is None:
            return
        try:
            partition.append_own(build_batch(records))
        except LogServerError as error:
            _log.warning("chapters of stories are lost", partition=str(partition), reason=error.message)
