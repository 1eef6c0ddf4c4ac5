"""A transport without a socket."""

from collections.abc import Iterable
from typing import Any


class Pipe:
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        self.sent = b""
        self.is_closed = False

    def writelines(self, chunks: Iterable[Any], /) -> None:
        self.sent += b"".join(chunks)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True
