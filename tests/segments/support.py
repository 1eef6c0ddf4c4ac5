"""What the engine's tests share: time, workers and committers that a test drives; a data directory on a fake disk."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, ParamSpec, TypeVar

from logserver_records.batch import split
from logserver_records.codec import Record, build_batch, decode_batch
from logserver_segments.committer import Committable, Committer, ImmediateCommitter, LogEnd, Loss, LossReason
from logserver_segments.compaction.cleaner import Cleaned, Cleaner, clean
from logserver_segments.compaction.config import CleanerConfig
from logserver_segments.compaction.eligible import cleanable
from logserver_segments.config import LogConfig
from logserver_segments.data_directory import DataDirectory
from logserver_segments.log import Log
from logserver_segments.partition_log import Appended
from logserver_segments.reading import Slice
from logserver_segments.seams import Disk, File, Moved, WorkerDied

from .fake_disk import FakeDisk, PowerCut

T = TypeVar("T")
P = ParamSpec("P")

NOW = 1_700_000_000_000
TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ"
PATH = "/srv/data"
MAX_BYTES = 64 << 20

SMALL = LogConfig(segment_bytes=1000, index_interval_bytes=150, file_delete_delay_ms=0)
"""Everything rolls, and has indexes, after a few records."""


class FakeClock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.now = NOW
        self.monotonic = 0.0

    def now_ms(self) -> int:
        return self.now

    def monotonic_ms(self) -> float:
        return self.monotonic

    def follow(self, moved: Moved) -> None: ...

    def unfollow(self, moved: Moved) -> None: ...

    def advance(self, ms: int) -> None:
        self.now += ms
        self.monotonic += ms

    def sleep_ms(self, ms: float) -> None:
        self.monotonic += ms


class InlineWorkers:
    """Does the work when it is awaited."""

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        async def work() -> T:
            return function(*args, **kwargs)

        return work()

    async def steps(
        self, function: Callable[P, Iterator[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        for value in function(*args, **kwargs):
            yield value


class MortalWorkers(InlineWorkers):
    """Does the work when it is awaited, and dies in the middle of it: in front of an operation on the disk."""

    def __init__(self, disk: FakeDisk) -> None:
        self._disk = disk
        self.operations_left: int | None = None

    async def steps(
        self, function: Callable[P, Iterator[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        values = function(*args, **kwargs)
        while True:
            if self.operations_left is not None:
                self._disk.operations_left = self.operations_left
            try:
                found = list(islice(values, 1))
            except PowerCut:
                raise WorkerDied("killed by a test") from None
            finally:
                if self.operations_left is not None:
                    self.operations_left = self._disk.operations_left
                    self._disk.operations_left = None
            if not found:
                return
            yield found[0]


class HeldWorkers:
    """Does the work when the test says so, or at once while `hold` is off; for what happens meanwhile."""

    def __init__(self) -> None:
        self.hold = True
        self._waiting: list[asyncio.Event] = []
        self._arrived = asyncio.Event()

    async def _work(self, function: Callable[[], T]) -> T:
        if self.hold:
            event = asyncio.Event()
            self._waiting.append(event)
            self._arrived.set()
            await event.wait()
        return function()

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self._work(lambda: function(*args, **kwargs))

    async def steps(
        self, function: Callable[P, Iterator[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        values = function(*args, **kwargs)
        while found := await self._work(lambda: list(islice(values, 1))):
            yield found[0]

    async def reached(self, count: int = 1) -> None:
        """Waits until this much work is held."""
        while len(self._waiting) < count:
            self._arrived.clear()
            await self._arrived.wait()

    def release(self) -> None:
        """Lets go of all held work."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.set()


def run(awaitable: Awaitable[T]) -> T:
    """Returns what an awaitable gives that never really waits."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something")


class NotingCommitter(ImmediateCommitter):
    """Flushes at once and remembers up to where a log is durable."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self.durable = 0

    def dirty(self, log: Committable, end: LogEnd, file: File, new_in: str | None = None) -> None:
        super().dirty(log, end, file, new_in)
        self.durable = end.offset


class DelayingCommitter:
    """What is handed over becomes durable in rounds that take long, several of them under way, on virtual time."""

    def __init__(self, disk: Disk, delay_ms: int = 300) -> None:
        self._disk = disk
        self._delay_ms = delay_ms
        self._pending: dict[Committable, tuple[LogEnd, list[File], set[str]]] = {}
        self._rounds: list[tuple[float, dict[Committable, tuple[LogEnd, list[File], set[str]]]]] = []

    @property
    def under_way(self) -> int:
        return len(self._rounds)

    def dirty(self, log: Committable, end: LogEnd, file: File, new_in: str | None = None) -> None:
        _, files, directories = self._pending.get(log, (end, [], set()))
        if all(known.path != file.path for known in files):
            files.append(file)
        if new_in is not None:
            directories.add(new_in)
        self._pending[log] = (end, files, directories)

    def discard(self, log: Committable) -> None:
        self._pending.pop(log, None)
        for _, entries in self._rounds:
            entries.pop(log, None)

    def begin_round(self, now: float) -> None:
        if self._pending:
            self._rounds.append((now + self._delay_ms, self._pending))
            self._pending = {}

    def advance(self, now: float) -> None:
        """Ends the rounds that are due by then."""
        while self._rounds and self._rounds[0][0] <= now:
            for log, (end, files, directories) in list(self._rounds.pop(0)[1].items()):
                try:
                    for file in files:
                        file.sync()
                    for directory in directories:
                        self._disk.sync_directory(directory)
                        self._disk.sync_directory(directory.rpartition("/")[0])
                except OSError as error:
                    self.discard(log)
                    log.lost(Loss(LossReason.FAILED, str(error)))
                else:
                    log.committed(end)

    def finish(self, now: float) -> float:
        """Ends all rounds; returns the time of it."""
        self.begin_round(now)
        if self._rounds:
            now = self._rounds[-1][0]
        self.advance(now)
        return now


class Fate:
    """What a power cut leaves, in place of chance: of names changed and of content written since the last sync."""

    def __init__(self, *, names: bool, content: bool) -> None:
        self._names = names
        self._content = content

    def randint(self, low: int, high: int) -> int:
        return high if self._names else low

    def randrange(self, count: int) -> int:
        return 1 if self._content else 0

    def random(self) -> float:
        raise AssertionError("nothing is left to chance")


class Listener:
    """Remembers what a log reports."""

    def __init__(self) -> None:
        self.committed: list[int] = []
        self.losses: list[Loss] = []

    def log_committed(self, offset: int) -> None:
        self.committed.append(offset)

    def log_lost(self, loss: Loss) -> None:
        self.losses.append(loss)


class Box:
    """A data directory on a fake disk with one log in it, and the ways in which it ends and begins again."""

    def __init__(
        self,
        config: LogConfig = SMALL,
        *,
        disk: Any = None,
        path: str = PATH,
        committer: Callable[[Disk], Committer] = ImmediateCommitter,
        workers: Any = None,
        open_files: int = 100,
        mapped_files: int = 100,
        least_free_bytes: int = 0,
        opened: bool = True,
        cleaner_limits: CleanerConfig | None = None,
    ) -> None:
        self.disk: FakeDisk = disk if disk is not None else FakeDisk()
        self.path = path
        self.config = config
        self.clock = FakeClock()
        self.workers = workers if workers is not None else InlineWorkers()
        self._new_committer = committer
        self._open_files = open_files
        self._mapped_files = mapped_files
        self._least_free_bytes = least_free_bytes
        self.committer: Any = None
        self.cleanings = 0
        self.cleaner_limits = cleaner_limits
        self.listener = Listener()
        self.directory: DataDirectory
        self.log: Log
        if opened:
            self.open()

    def open_directory(self) -> DataDirectory:
        self.directory = DataDirectory(
            self.path,
            1,
            disk=self.disk,
            clock=self.clock,
            random=random.Random(1),
            workers=self.workers,
            open_files=self._open_files,
            mapped_files=self._mapped_files,
            least_free_bytes=self._least_free_bytes,
            cleaner_limits=self.cleaner_limits,
        )
        self.committer = self._new_committer(self.disk)
        self.directory.start(self.committer)
        return self.directory

    def open(self) -> Log:
        self.open_directory()
        self.open_log()
        self.directory.opened_all()
        return self.log

    def open_log(self) -> Log:
        self.log = self.directory.open("topic", 0, TOPIC_ID, self.config)
        self.listener = Listener()
        self.log.set_listener(self.listener)
        return self.log

    def reopen(self) -> Log:
        """Stops cleanly and starts again."""
        self.directory.close()
        return self.open()

    def kill(self) -> Log:
        """Ends the process without any warning and starts again."""
        self.disk.kill()
        return self.open()

    def crash(self, seed: int = 0, *, fate: Fate | None = None) -> Log:
        """Cuts the power and starts again."""
        self.disk.crash(fate if fate is not None else random.Random(seed))
        return self.open()

    def clean(
        self, now: int | None = None, *, cleaned_to: int = 0, limits: CleanerConfig | None = None
    ) -> Coroutine[Any, Any, Cleaned | None]:
        """Compacts the log, whether that is due or not; to be awaited."""
        clock = FakeClock()
        clock.now = self.clock.now if now is None else now
        cleaner = Cleaner(
            self.directory.resources,
            self.workers,
            self.workers,
            clock,
            limits or self.cleaner_limits or CleanerConfig(),
        )
        self.cleanings += 1
        return self._clean(cleaner, cleaned_to, f"{self.cleanings}")

    async def _clean(self, cleaner: Cleaner, cleaned_to: int, token: str) -> Cleaned | None:
        found = cleanable(self.log, cleaned_to, cleaner.clock.now_ms())
        return await clean(self.log, found, cleaner, token) if found.segments else None

    def append(self, *payloads: bytes, epoch: int = 0) -> list[Appended]:
        return [self.log.append(payload, epoch, self.clock.now) for payload in payloads]

    def fill(self, count: int, *, size: int = 20, epoch: int = 0, first: int = 0) -> None:
        """Appends `count` records `record 0` and so on, one a batch."""
        for number in range(first, first + count):
            self.append(batch(b"record %d" % number + b"." * size), epoch=epoch)

    @property
    def names(self) -> list[str]:
        """The files of the log."""
        return sorted(entry.name for entry in self.disk.list(self.log.directory))

    def log_reads(self) -> list[str]:
        """What of segment files has been read, forgetting it."""
        found = [path for path, _, _ in self.disk.reads if path.endswith(".log")]
        found += [path for path in self.disk.maps if path.endswith(".log")]
        self.disk.reads.clear()
        self.disk.maps.clear()
        return found


def batch(
    *values: bytes | None,
    key: bytes | None = None,
    timestamps: Sequence[int] | None = None,
    timestamp: int = NOW,
    producer: tuple[int, int, int] = (-1, -1, -1),
) -> bytes:
    """A record batch of these values; `producer` is producer id, epoch and base sequence."""
    times = timestamps if timestamps is not None else [timestamp] * len(values)
    return build_batch(
        [(time, key, value, ()) for time, value in zip(times, values, strict=True)],
        producer_id=producer[0],
        producer_epoch=producer[1],
        base_sequence=producer[2],
    )


def keyed(*pairs: tuple[bytes, bytes | None], timestamp: int = NOW) -> bytes:
    """A record batch of keys and values."""
    return build_batch([(timestamp, key, value, ()) for key, value in pairs])


def records_in(data: Any) -> list[Record]:
    """All records of the batches in a slice, whose CRCs must be right."""
    found: list[Record] = []
    for position, _ in split(data):
        found += decode_batch(data, position, max_decompressed_bytes=MAX_BYTES, verify_crc=True)
    return found


def read(log: Log, offset: int, max_bytes: int = 1) -> Slice:
    """Reads, whether the answer comes at once or not."""
    found = log.read(offset, max_bytes)
    return found if isinstance(found, Slice) else run(found)


def read_all(log: Log, max_bytes: int = 300) -> list[Record]:
    """All that can be read, from the log start offset to the committed offset."""
    offset = log.log_start_offset
    found: list[Record] = []
    while offset < log.committed_offset:
        part = read(log, offset, max_bytes)
        assert part.next_offset > offset, part
        found += [record for record in records_in(part.data) if record.offset >= log.log_start_offset]
        offset = part.next_offset
    assert offset == max(log.committed_offset, log.log_start_offset)
    assert len(read(log, offset).data) == 0
    return found


def values(records: Iterable[Record]) -> list[bytes | None]:
    return [record.value for record in records]
