"""A partition of a queue as it is, for those who only want to know."""

from typing import Final, NamedTuple

from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.records import RecordReader
from logserver.coordinator.delivery.unsettled import State

_MOST_READS: Final = 16
"""To find out how old what is ready is."""


class Look(NamedTuple):
    """What is to be known of a partition of a queue."""

    number: int
    """What the queue's consumers call it."""
    engine: Engine
    """Only to be looked at: where nobody uses the partition, it is one of no effect."""
    reader: RecordReader

    async def oldest_ready_ms(self) -> int | None:
        """Returns when the first record that is ready was written, None if none is, or none among many that were
        aborted.

        Raises:
            LogServerError: it can't be read.
        """
        at = self.engine.first_ready()
        for _ in range(_MOST_READS):
            if at is None or at >= self.engine.end:
                break
            piece = await self.reader.visible(at)
            for record in self.reader.decoded(piece.data):
                if record.offset >= at and self.engine.state_of(record.offset) is State.READY:
                    return record.timestamp_ms
            at = max(piece.next_offset, at + 1)
        return None
