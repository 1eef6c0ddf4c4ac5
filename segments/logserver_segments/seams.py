"""The seams: everything the engine takes from the machine comes in through one of these protocols.

A test or a simulation replaces them (virtual time, faulty disks); nothing else in the engine may ask the operating
system for time, randomness, files, threads or processes.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple, ParamSpec, Protocol, TypeAlias, TypeVar

from logserver_records.batch import Buffer

T = TypeVar("T")
P = ParamSpec("P")

Moved: TypeAlias = Callable[[], Awaitable[None]]
"""Does what a clock's move has made due; raises nothing."""


class Clock(Protocol):
    """Where time comes from."""

    def now_ms(self) -> int:
        """Returns wall-clock time in milliseconds since the Unix epoch; may jump."""
        ...

    def monotonic_ms(self) -> float:
        """Returns milliseconds since an arbitrary start; never goes back."""
        ...

    def follow(self, moved: Moved) -> None:
        """Has `moved` called, and awaited, whenever both times have been moved forward at once, by whoever tests what
        takes long: who waits by a timer then looks again at what is due. A machine's clock never does that."""
        ...

    def unfollow(self, moved: Moved) -> None:
        """Ends following."""
        ...


class WorkClock(Clock, Protocol):
    """A clock for work on another thread or in another process, which may wait."""

    def sleep_ms(self, ms: float) -> None:
        """Returns after that time; blocks the thread."""
        ...


class Random(Protocol):
    """Where randomness comes from; `random.Random` fits."""

    def random(self) -> float:
        """Returns a float in [0, 1)."""
        ...

    def randbytes(self, n: int, /) -> bytes: ...


class Mapping(Protocol):
    """A read-only view of a file's first bytes. Slices of it keep it alive."""

    @property
    def view(self) -> memoryview: ...

    def is_resident(self, position: int, size: int) -> bool:
        """Returns whether reading that range through the view needs no disk (no fault that could block or kill)."""
        ...


class File(Protocol):
    """An open file. Closed when the last reference to it goes."""

    path: str

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
        """Writes all of the buffers, in order, from a position on; returns the bytes written.

        Raises:
            OSError: the disk refused; any prefix may have been written.
        """
        ...

    def read(self, size: int, position: int) -> bytes:
        """Returns up to `size` bytes from a position; fewer only at the end of the file. May block on the disk."""
        ...

    def read_resident(self, size: int, position: int) -> Buffer | None:
        """As `read`, but returns None at once if the disk would be needed."""
        ...

    def size(self) -> int: ...

    def truncate(self, size: int) -> None: ...

    def write_out(self, position: int, size: int) -> None:
        """Has a range of what was written go to the disk, and returns when it has; `sync` is due nevertheless.

        Of that it takes the longest part away, and who syncs another file of the disk meanwhile need not wait for it.
        """
        ...

    def sync(self) -> None:
        """Makes the file's data durable (fdatasync)."""
        ...

    def map(self, size: int) -> Mapping:
        """Maps the first `size` (> 0) bytes read-only."""
        ...


class Entry(NamedTuple):
    """What a directory holds."""

    name: str
    is_directory: bool
    size: int


class Lock(Protocol):
    """An exclusive claim on a directory; it ends with the process."""

    def release(self) -> None: ...


class Disk(Protocol):
    """The file system. Paths are absolute or relative to the working directory, as text."""

    def open(self, path: str, *, create: bool = False) -> File:
        """Opens for reading and writing; `create` makes an empty file and refuses an existing one (FileExistsError)."""
        ...

    def list(self, path: str) -> Sequence[Entry]: ...

    def exists(self, path: str) -> bool:
        """Returns whether there is a file or directory.

        Raises:
            OSError: the disk does not tell.
        """
        ...

    def read_file(self, path: str) -> bytes: ...

    def write_file(self, path: str, content: bytes, *, durable: bool) -> None:
        """Replaces a file as a whole: afterwards, and after a crash, it has the old content or the new.

        With `durable` the new content survives a power cut once this returns.
        """
        ...

    def make_directory(self, path: str) -> None:
        """Makes a directory and those above it; fine if it exists."""
        ...

    def rename(self, source: str, target: str) -> None: ...

    def remove(self, path: str) -> None:
        """Removes a file; fine if it is gone."""
        ...

    def remove_tree(self, path: str) -> None: ...

    def sync_directory(self, path: str) -> None:
        """Makes the directory's entries durable."""
        ...

    def sync_filesystem(self, path: str) -> None:
        """Makes everything written on the file system of `path` durable (syncfs)."""
        ...

    def space(self, path: str) -> tuple[int, int]:
        """Returns (free bytes for this process, total bytes) of the file system of `path`."""
        ...

    def lock(self, path: str) -> Lock:
        """Claims the lock file at `path`.

        Raises:
            BlockingIOError: another process has it.
        """
        ...


class WorkerDied(Exception):
    """The process that did some work has ended before the work did: killed, or out of memory."""


class Workers(Protocol):
    """Threads or processes for what would block the caller's thread, or keep it from the processor.

    With processes, functions, arguments and results are pickled, and any of it may end in `WorkerDied`.
    """

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Runs a function elsewhere and returns its result when awaited."""
        ...

    def steps(
        self, function: Callable[P, Iterator[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        """Runs a generator function elsewhere: each value is made when it is asked for.

        Whoever does not take all values closes what is returned, which ends the work where it is.
        """
        ...
