"""What the user has been given and may still be working on."""

import threading
from typing import Any

from logserver_client._consume.partition import PartitionState
from logserver_client._consume.reader import ALL, Piece, RecordReader
from logserver_client.errors import LogServerError
from logserver_client.types import Record


class Hand:
    """Records in the user's hands: handed out, and the user has not come back for more.

    Kept by the piece, not by the record. `lock` is held while the reader hands out; the positions can be read without
    it, from any thread: what is in the hand is noted before it is taken from the reader, so a position read beside that
    is too low at worst.
    """

    def __init__(self, reader: RecordReader) -> None:
        self.lock = threading.Lock()
        self._reader = reader
        self._before: dict[PartitionState, int | None] = {}
        """Where partitions stood before what is in the hand, which came in lists."""
        self._piece: Piece | None = None
        """What the user iterates over; the last record handed out is in the hand."""

    def empty(self) -> None:
        """The user has come back: all that they had is consumed."""
        self._before.clear()
        self._piece = None

    def holds(self, state: PartitionState) -> bool:
        """True if a record of the partition is, or may come without the lock, in the user's hands."""
        piece = self._piece
        return state in self._before or (piece is not None and piece.state is state)

    def consumed(self, state: PartitionState) -> int | None:
        """Returns the offset behind what the user is done with, None if it isn't known yet."""
        while True:
            if state in self._before:
                return self._before.get(state)
            piece = self._piece
            if piece is not None and piece.state is state:
                return piece.position_of_last()
            position = self._reader.position(state)
            if not self.holds(state):
                # Still nothing in the hand: the position does not cover what was handed out meanwhile.
                return position

    def next_piece(self) -> Piece | None:
        """Returns the reader's next piece for an iteration; its last record is in the hand from the first on.

        Raises:
            LogServerError: as `RecordReader.next_piece`.
        """
        with self.lock:
            piece = self._reader.next_piece()
            self._piece = piece
            return piece

    def take_piece(self) -> list[Record[Any, Any]] | None:
        """Takes a whole piece; None if nothing has come.

        Raises:
            LogServerError: as `RecordReader.next_piece`.
        """
        with self.lock:
            piece = self._reader.next_piece()
            return None if piece is None else self._take(piece, ALL)

    def take(self, most: int) -> list[Record[Any, Any]] | None:
        """Takes so many records at most, as `RecordReader.take`.

        Raises:
            LogServerError: as `RecordReader.take`.
        """
        with self.lock:
            piece = self._reader.next_piece()
            if piece is None:
                return None
            records = self._take(piece, most)
            while len(records) < most:
                try:
                    piece = self._reader.next_piece()
                except LogServerError:
                    # It is raised by the next call: these records come first.
                    if not records:
                        raise
                    break
                if piece is None:
                    break
                records += self._take(piece, most - len(records))
            return records

    def _take(self, piece: Piece, most: int) -> list[Record[Any, Any]]:
        self._before.setdefault(piece.state, piece.position())
        return piece.take(most)
