"""What a connection needs of the network: a socket in life, an in-memory pipe in a simulation."""

from collections.abc import Iterable
from typing import Protocol

from logserver_records.batch import Buffer


class Transport(Protocol):
    """One end of a byte stream. Nothing here waits; `Connection.pause_writing` says when the peer is too slow."""

    def writelines(self, chunks: Iterable[Buffer], /) -> None:
        """Sends chunks, in order, without joining them."""
        ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        """Closes it once everything written is sent."""
        ...

    def abort(self) -> None:
        """Closes it at once."""
        ...
