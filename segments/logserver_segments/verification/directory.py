"""Looking at a data directory as a whole: whose it is, which logs it has, what its checkpoints say."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from logserver_segments.checkpoints import (
    CLEANED,
    LEADER_EPOCHS,
    LOG_STARTS,
    RECOVERY_POINTS,
    CheckpointDamaged,
    TopicPartition,
    parse_offsets,
)
from logserver_segments.compaction.swap import CLEANED_SUFFIX, REPLACES_SUFFIX, SWAP_SUFFIX, last_replaced
from logserver_segments.data_directory.directory import CLEAN_SHUTDOWN
from logserver_segments.data_directory.meta import FORMAT, META, parse_properties
from logserver_segments.data_directory.names import directory_of, key_of
from logserver_segments.data_directory.topic_id import (
    PARTITION_METADATA,
    read_topic_id,
    says_topic_id,
    topic_id_content,
)
from logserver_segments.errors import CorruptRecords
from logserver_segments.seams import Disk, Entry
from logserver_segments.segment import (
    DELETED_SUFFIX,
    INDEX_SUFFIX,
    LOG_SUFFIX,
    SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX,
    TXN_INDEX_SUFFIX,
    file_name,
    is_file_of_log,
    offset_of_file,
)
from logserver_segments.verification.findings import Finding, MakeSegment, Note, SetAside, WriteFile
from logserver_segments.verification.task import EVERYTHING, METADATA_TOPIC, Part, RecordCheck, Task

CUT_SUFFIX: Final = ".cut-"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")
"""16 bytes as Kafka prints ids."""
_UNFINISHED: Final = (".tmp", DELETED_SUFFIX, CLEANED_SUFFIX, SWAP_SUFFIX, REPLACES_SUFFIX)
_OF_SEGMENT: Final = (INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX)


class About(NamedTuple):
    """What is known of a log from elsewhere."""

    topic_id: str | None
    """None: nobody knows it."""
    is_compacted: bool
    check_record: RecordCheck | None = None


class LogFiles(NamedTuple):
    """A log's directory."""

    key: TopicPartition
    directory: str
    is_known: bool
    """Whether a topic has it."""
    has_epochs: bool
    tasks: tuple[Task, ...]


class Examined(NamedTuple):
    """A data directory before its segments are looked at."""

    path: str
    is_clean: bool
    """Whether the last stop was a clean one."""
    recovery_points: Mapping[TopicPartition, int] | None
    """None: the file can't be read."""
    start_offsets: Mapping[TopicPartition, int]
    logs: Mapping[TopicPartition, LogFiles]
    findings: tuple[Finding, ...]
    notes: tuple[Note, ...]

    @property
    def tasks(self) -> list[Task]:
        """All there is to do, the largest first."""
        found = [task for log in self.logs.values() for task in log.tasks]
        return sorted(found, key=lambda task: task.size_bytes, reverse=True)


def examine(path: str, about: Callable[[TopicPartition], About | None], disk: Disk) -> Examined:
    """Looks at a data directory, whose lock the caller has.

    Args:
        about: says what is known of a log; None if no topic has it.

    Raises:
        OSError: the disk refused.
    """
    return _Examination(path, about, disk).run()


class _Examination:
    def __init__(self, path: str, about: Callable[[TopicPartition], About | None], disk: Disk) -> None:
        self._path = path
        self._about = about
        self._disk = disk
        self._findings: list[Finding] = []
        self._notes: list[Note] = []

    def run(self) -> Examined:
        entries = self._disk.list(self._path)
        names = {entry.name for entry in entries}
        is_clean = CLEAN_SHUTDOWN in names
        self._check_meta(names)
        points = self._offsets(RECOVERY_POINTS, names, "logs are checked from their start")
        starts = self._offsets(LOG_STARTS, names, "deleted records that lie in a segment still come back")
        self._offsets(CLEANED, names, "logs are compacted from their start on")
        logs = {}
        for entry in sorted(entries):
            path = f"{self._path}/{entry.name}"
            key = key_of(entry.name) if entry.is_directory else None
            if key is not None:
                logs[key] = self._log(key, is_clean, (points or {}).get(key), (starts or {}).get(key, 0))
            elif entry.is_directory and entry.name != "lost+found":
                self._notes.append(Note(path, "this is no log that the server reads"))
        if not is_clean:
            self._notes.append(Note(self._path, "the last end was no clean stop: the next start checks the logs"))
        return Examined(self._path, is_clean, points, starts or {}, logs, tuple(self._findings), tuple(self._notes))

    def _check_meta(self, names: set[str]) -> None:
        path = f"{self._path}/{META}"
        if META not in names:
            remedy = "nothing: who the cluster is stands there and nowhere else"
            self._findings.append(Finding(path, None, "it is missing", remedy, None))
            return
        properties = parse_properties(self._disk.read_file(path))
        missing = [name for name in ("cluster.id",) if not properties.get(name)]
        if not _ID.fullmatch(properties.get("directory.id", "")):
            missing.append("directory.id")
        if not properties.get("node.id", "").isdigit():
            missing.append("node.id")
        if properties.get("logserver.format") != str(FORMAT):
            missing.append("logserver.format")
        if missing:
            problem = f"it says nothing valid for {', '.join(missing)}"
            self._findings.append(Finding(path, None, problem, "nothing: write what is missing by hand", None))

    def _offsets(self, name: str, names: set[str], loss: str) -> dict[TopicPartition, int] | None:
        if name not in names:
            return {}
        path = f"{self._path}/{name}"
        try:
            return parse_offsets(self._disk.read_file(path))
        except CheckpointDamaged as error:
            remedy = f"writes it anew; {loss}"
            self._findings.append(Finding(path, None, str(error), remedy, WriteFile(path, b"")))
            return None

    # One log

    def _log(self, key: TopicPartition, is_clean: bool, point: int | None, start: int) -> LogFiles:
        directory = directory_of(self._path, key)
        entries = self._disk.list(directory)
        about = self._about(key)
        is_known = about is not None
        if about is None:
            self._notes.append(Note(directory, "no topic knows this log; the next start sets it aside as it is"))
            about = About(None, True)
        segments, snapshots, has_epochs = self._sort(directory, entries, is_clean)
        ends = [snapshots[-1] if snapshots else 0, segments[-1].base_offset if segments else 0]
        # What a recovery point says of a topic goes with the topic.
        is_ours = point is not None and 0 < max(ends) <= point
        self._check_topic_id(key, directory, about, is_clean, is_ours)
        if not segments:
            self._check_empty(key, directory, max(point or 0, *ends))
        tasks = []
        for parts, begins in _runs(segments, set(snapshots)):
            first, number = parts[0].base_offset, segments.index(parts[-1])
            is_last = number + 1 == len(segments)
            end = EVERYTHING if is_last else segments[number + 1].base_offset
            tasks.append(
                Task(
                    key,
                    directory,
                    tuple(parts),
                    end,
                    is_last,
                    begins,
                    tuple(s for s in snapshots if (s > first or parts[0] is segments[0]) and s <= end),
                    EVERYTHING if is_clean else (point or 0),
                    point or 0,
                    start,
                    about.is_compacted,
                    about.check_record,
                )
            )
        return LogFiles(key, directory, is_known, has_epochs, tuple(tasks))

    def _check_topic_id(self, key: TopicPartition, directory: str, about: About, is_clean: bool, is_ours: bool) -> None:
        """Checks whose log it is.

        Args:
            is_ours: whether the log is known to be that of the topic, whatever the file says.
        """
        wanted = about.topic_id
        if wanted is None:
            return
        path = f"{directory}/{PARTITION_METADATA}"
        content = topic_id_content(wanted)
        if says_topic_id(directory, wanted, self._disk):
            return
        found = read_topic_id(directory, self._disk)
        # A part of it is what a power cut may leave, and the next start writes it again.
        if found is None or wanted.startswith(found):
            if is_clean:
                problem = "it does not say of which topic the log is"
                self._findings.append(Finding(path, None, problem, "writes it", WriteFile(path, content)))
            return
        problem = f"it says that the log is of the topic id {found}, and the topic's is {wanted}"
        if is_ours:
            remedy = "writes it: the log ends where the topic's did"
            self._findings.append(Finding(path, None, problem, remedy, WriteFile(path, content)))
        else:
            remedy = "sets the log aside and makes an empty one in its place"
            self._findings.append(Finding(path, None, problem, remedy, SetAside(directory, key, wanted)))

    def _check_empty(self, key: TopicPartition, directory: str, end: int) -> None:
        """A log without segments has lost them, unless it never had a record."""
        if not end:
            return
        problem = f"it has no segment file, although its offsets went to {end - 1}"
        if key[0] == METADATA_TOPIC:
            remedy = "nothing: which topics there are stood there and nowhere else"
            self._findings.append(Finding(directory, None, problem, remedy, None))
            return
        path = f"{directory}/{file_name(end, LOG_SUFFIX)}"
        remedy = f"makes an empty one, so that offsets go on with {end}; the records are lost"
        self._findings.append(Finding(directory, None, problem, remedy, MakeSegment(path)))

    def _sort(self, directory: str, entries: Sequence[Entry], is_clean: bool) -> tuple[list[Part], list[int], bool]:
        """Returns the segments, the offsets of the snapshots, and whether there are leader epochs."""
        sizes = {entry.name: entry.size for entry in entries if not entry.is_directory}
        of_log = [name for name in sizes if is_file_of_log(name)]
        # Without its companion a swap is of a beginning that did not become durable; the old segments count.
        swaps = {
            offset_of_file(name): name
            for name in of_log
            if name.endswith(LOG_SUFFIX + SWAP_SUFFIX) and file_name(offset_of_file(name), REPLACES_SUFFIX) in sizes
        }
        doubtful = {offset_of_file(name) for name in of_log if name.endswith(SWAP_SUFFIX)}
        bases = sorted(offset_of_file(name) for name in of_log if name.endswith(LOG_SUFFIX))
        snapshots = sorted(offset_of_file(name) for name in of_log if name.endswith(SNAPSHOT_SUFFIX))
        kept = (LOG_SUFFIX, SNAPSHOT_SUFFIX, *_OF_SEGMENT)
        for name in sorted(sizes):
            path = f"{directory}/{name}"
            if name in (LEADER_EPOCHS, PARTITION_METADATA):
                continue
            if name.endswith(_UNFINISHED):
                self._notes.append(Note(path, "left by work under way; the next start finishes or removes it"))
            elif CUT_SUFFIX in name:
                self._notes.append(Note(path, "what an earlier repair has cut out; yours to look at and remove"))
            elif not (is_file_of_log(name) and name.endswith(kept)):
                self._notes.append(Note(path, "the server does not know this file"))
            elif name.endswith(_OF_SEGMENT) and offset_of_file(name) not in bases:
                if is_clean:
                    remedy = "removes it"
                    self._findings.append(Finding(path, None, "its segment is gone", remedy, WriteFile(path, b"")))
                else:
                    self._notes.append(Note(path, "its segment is gone; the next start removes it"))
        parts = [
            Part(base, sizes[file_name(base, LOG_SUFFIX)], base != bases[-1], has_indexes=base not in doubtful)
            for base in bases
        ]
        for base, name in swaps.items():
            # As the next start will finish it.
            try:
                last = last_replaced(directory, base, self._disk)
            except CorruptRecords as error:
                path = f"{directory}/{file_name(base, REPLACES_SUFFIX)}"
                remedy = "nothing: the partition is offline until the base offset of the last of them is written there"
                self._findings.append(Finding(path, None, str(error), remedy, None))
                continue
            parts = [part for part in parts if not base <= part.base_offset <= last]
            parts.append(Part(base, sizes[name], True, LOG_SUFFIX + SWAP_SUFFIX, has_indexes=False))
        return sorted(parts), snapshots, LEADER_EPOCHS in sizes


def _runs(segments: Sequence[Part], snapshots: set[int]) -> Iterator[tuple[list[Part], bool]]:
    """Yields adjacent segments that are walked over together, and whether there is a snapshot where they begin.

    What producers did before is known there: so each can be checked by itself.
    """
    run: list[Part] = []
    for part in segments:
        if run and part.base_offset in snapshots:
            yield run, run[0].base_offset in snapshots
            run = []
        run.append(part)
    if run:
        yield run, run[0].base_offset in snapshots
