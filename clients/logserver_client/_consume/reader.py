"""What has come and was not handed out: decoded in the user's thread, a piece of one partition at a time.

Answers come in on the event loop by `add`; everything else is called by the one thread (or task) that uses the
consumer, or on the event loop while that thread waits for it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from operator import length_hint
from typing import Any, Final, NamedTuple

from logserver_records.batch import Buffer

from logserver_client._consume.config import ConsumerConfig
from logserver_client._consume.decode import Decoder
from logserver_client._consume.partition import PartitionState
from logserver_client.errors import LogServerError
from logserver_client.types import Record

_DECODE_LEAST: Final = 250
"""Records decoded at a time, if there are as many: enough to make the cost of a piece vanish. Of a large batch come as
many as `decode_rows` gives, for the reason that it tells."""

ALL: Final = 1 << 62
"""More records than there can be, for `Piece.take`."""

_RETURN_PART: Final = 4
"""Credit is returned when a quarter of all has gathered."""


class Arrival(NamedTuple):
    """One answer of the server about one partition, in the order of the partition's records."""

    state: PartitionState
    node_id: int
    batches: Buffer = b""
    next_offset: int = -1
    error: LogServerError | None = None
    """Ends the partition once everything before has been handed out."""
    moved_to: int | None = None
    """The position goes here, without records: after a reset, or over what compaction removed."""


class Piece:
    """Records of one partition on their way to the user.

    `rest` yields those not yet handed out; how many are left is asked of the iterator, so that handing out a record
    costs no bookkeeping.
    """

    __slots__ = ("_end_position", "_records", "_start_position", "rest", "state")

    def __init__(
        self, state: PartitionState, records: list[Record[Any, Any]], start_position: int, end_position: int
    ) -> None:
        self.state = state
        self._records = records
        self._start_position = start_position
        self._end_position = end_position
        self.rest: Iterator[Record[Any, Any]] = iter(records)

    def position(self) -> int:
        """Returns the offset behind what was handed out."""
        left = length_hint(self.rest)
        if not left:
            return self._end_position
        if left == len(self._records):
            return self._start_position
        return self._records[-left - 1].offset + 1

    def position_of_last(self) -> int | None:
        """Returns the offset of the record handed out last, which the user may still be working on; where none was, the
        position; None once the rest has been dropped.

        May be asked while another thread iterates: the answer is then too low at worst.
        """
        records = self._records
        left = length_hint(self.rest)
        try:
            return self._start_position if records and left == len(records) else records[-left - 1].offset
        except IndexError:
            return None

    def take(self, most: int) -> list[Record[Any, Any]]:
        """Hands out so many records at most."""
        if len(self._records) <= most and length_hint(self.rest) == len(self._records):
            records, self._records, self.rest = self._records, [], iter(())
            return records
        return list(islice(self.rest, most))

    def drop(self) -> None:
        """Hands out no more, also where somebody is in the middle of iterating."""
        self._records.clear()


class RecordReader:
    """The buffer between the event loop and the user.

    Args:
        return_credit: called with (node id, bytes) when the user has taken so much of what that node sent.
        finished: called with a partition that has been read to its end offset.
        wake: called, on the event loop, when something has come.
    """

    def __init__(
        self,
        config: ConsumerConfig,
        return_credit: Callable[[int, int], None],
        finished: Callable[[PartitionState], None],
        wake: Callable[[], None],
    ) -> None:
        self._config = config
        self._return_credit = return_credit
        self._finished = finished
        self._wake = wake
        self._arrivals: deque[Arrival] = deque()
        self._current: Arrival | None = None
        self._decoder: Decoder | None = None
        self._piece: Piece | None = None
        self._failed: dict[PartitionState, None] = {}
        self._owed: dict[int, int] = {}
        self._return_from_bytes = max(config.buffer_bytes // _RETURN_PART, 1)
        self.finished_partitions = 0
        """How many have been read to their end offset."""
        self.counts_bytes = False
        self.payload_bytes = 0
        """Bytes of keys and values decoded so far, if `counts_bytes`."""

    # The event loop.

    def add(self, arrival: Arrival) -> None:
        """Takes in an answer."""
        self._arrivals.append(arrival)
        self._wake()

    def drop(self, state: PartitionState) -> None:
        """Forgets what is buffered of a partition; its position is left behind what was handed out."""
        state.position = self.position(state)
        if self._piece is not None and self._piece.state is state:
            self._piece.drop()
            self._piece = None
        if self._current is not None and self._current.state is state:
            self._close_current()
        kept = [arrival for arrival in self._arrivals if arrival.state is not state]
        for arrival in self._arrivals:
            if arrival.state is state:
                self._owe(arrival)
        self._arrivals.clear()
        self._arrivals.extend(kept)

    # The user.

    def position(self, state: PartitionState) -> int | None:
        """Returns the offset behind what was handed out of a partition, None if it isn't known yet."""
        piece = self._piece
        return piece.position() if piece is not None and piece.state is state else state.position

    def next_piece(self) -> Piece | None:
        """Returns what is left of the piece under way, or the next one; None if nothing has come.

        An empty piece means that a position has moved over records that nobody gets to see (control batches).

        Raises:
            LogServerError: a partition has failed; again with each call, until it is moved or unassigned.
        """
        piece = self._piece
        if piece is not None:
            if length_hint(piece.rest):
                return piece
            self._end_piece(piece)
        for state in list(self._failed):
            if state.error is None:
                # Moved or unassigned since.
                del self._failed[state]
            elif not state.is_paused:
                raise state.error.with_traceback(None)
        while self._decoder is not None or self._next_arrival():
            if self._decoder is not None:
                return self._next_piece(self._decoder)
        return None

    def take(self, most: int) -> list[Record[Any, Any]] | None:
        """Returns so many buffered records at most, of as many partitions as it takes; None if nothing has come.

        Raises:
            LogServerError: as `next_piece`; but not before what was there has been handed out.
        """
        piece = self.next_piece()
        if piece is None:
            return None
        records = piece.take(most)
        while len(records) < most:
            try:
                piece = self.next_piece()
            except LogServerError:
                # It is raised by the next call: these records come first.
                if not records:
                    raise
                break
            if piece is None:
                break
            records += piece.take(most - len(records))
        return records

    def _next_piece(self, decoder: Decoder) -> Piece:
        assert self._current is not None
        state = self._current.state
        start = decoder.position
        records, error = decoder.decode(_DECODE_LEAST)
        if self.counts_bytes:
            self.payload_bytes += decoder.payload_bytes
        self._piece = Piece(state, records, start, decoder.position)
        if error is not None:
            self._fail(state, error)
        if decoder.is_done or error is not None:
            self._close_current()
        return self._piece

    def _next_arrival(self) -> bool:
        """Takes up the next answer; False if there is none."""
        if not self._arrivals:
            return False
        arrival = self._arrivals.popleft()
        state = arrival.state
        if arrival.error is not None:
            self._fail(state, arrival.error)
            if not state.is_paused:
                raise arrival.error
        elif state.error is not None or state.is_finished:
            self._owe(arrival)
        elif arrival.moved_to is not None:
            self._move(state, arrival.moved_to)
        else:
            assert state.position is not None
            self._current = arrival
            self._decoder = Decoder(
                self._config,
                state.tp,
                arrival.batches,
                state.position,
                state.end_offset,
                arrival.next_offset,
                self.counts_bytes,
            )
        return True

    def _end_piece(self, piece: Piece) -> None:
        self._piece = None
        self._move(piece.state, piece.position())

    def _move(self, state: PartitionState, position: int) -> None:
        """Moves the position of a partition, perhaps to its end."""
        state.position = position
        if state.end_offset is not None and position >= state.end_offset and not state.is_finished:
            state.is_finished = True
            self.finished_partitions += 1
            if self._current is not None and self._current.state is state:
                self._close_current()
            self._finished(state)

    def _fail(self, state: PartitionState, error: LogServerError) -> None:
        state.error = error
        self._failed[state] = None

    def _close_current(self) -> None:
        if self._current is not None:
            self._owe(self._current)
        self._current = None
        self._decoder = None

    def _owe(self, arrival: Arrival) -> None:
        """Counts bytes that have left the buffer, and returns them once they are worth a message."""
        size_bytes = len(arrival.batches)
        if not size_bytes:
            return
        owed = self._owed.get(arrival.node_id, 0) + size_bytes
        if owed >= self._return_from_bytes:
            self._return_credit(arrival.node_id, owed)
            owed = 0
        self._owed[arrival.node_id] = owed
