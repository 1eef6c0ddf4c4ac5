"""Putting together what the tasks of a check have found, and what can only be told of a log as a whole."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from logserver_segments.checkpoints import (
    LEADER_EPOCHS,
    LOG_STARTS,
    RECOVERY_POINTS,
    CheckpointDamaged,
    LeaderEpochs,
    TopicPartition,
)
from logserver_segments.seams import Disk
from logserver_segments.verification.directory import Examined, LogFiles
from logserver_segments.verification.findings import Finding, Note, Replace, SetOffset, WriteFile
from logserver_segments.verification.task import EVERYTHING, EpochRange, Walk


class Conclusion(NamedTuple):
    """What a check has found."""

    findings: tuple[Finding, ...]
    notes: tuple[Note, ...]
    logs: int
    batches: int
    records: int
    bytes_checked: int
    ends: dict[TopicPartition, int]
    """Log end offsets."""


def conclude(examined: Examined, walks: Iterable[Walk], disk: Disk) -> Conclusion:
    """Returns all findings about a data directory.

    Args:
        walks: what every task of `examined` gave, in any order.

    Raises:
        OSError: the disk refused.
    """
    by_log: dict[TopicPartition, list[Walk]] = {key: [] for key in examined.logs}
    batches = records = size = 0
    for walk in walks:
        by_log[walk.task.key].append(walk)
        batches += walk.batches
        records += walk.records
        size += walk.task.size_bytes
    findings, notes = list(examined.findings), list(examined.notes)
    ends = {}
    for key, log in examined.logs.items():
        ordered = sorted(by_log[key], key=lambda walk: walk.task.parts[0].base_offset)
        if not ordered:
            continue
        end = ends[key] = max(ordered[-1].next_offset, ordered[-1].task.least_end)
        for walk in ordered:
            findings += walk.findings
            notes += walk.notes
        torn = _torn_tail(examined, ordered[-1])
        if torn is not None:
            findings.remove(torn)
            notes.append(Note(torn.path, f"position {torn.position}: {torn.problem}; the next start cuts it off"))
        start = max(examined.start_offsets.get(key, 0), ordered[0].task.parts[0].base_offset)
        findings += _offsets(examined, key, end, log.is_known)
        wrong = _epochs(log, [epoch for walk in ordered for epoch in walk.epochs], ordered[-1], start, disk)
        if isinstance(wrong, Note):
            notes.append(wrong)
        elif wrong is not None:
            findings.append(wrong)
    return Conclusion(tuple(findings), tuple(notes), len(examined.logs), batches, records, size, ends)


def _torn_tail(examined: Examined, last: Walk) -> Finding | None:
    """Returns what a killed server has left at a log's end, which is nothing wrong: it was never acknowledged."""
    tail = last.tail
    if tail is None or examined.is_clean or not isinstance(tail.fix, Replace):
        return None
    fix = tail.fix
    return tail if fix.first_offset == fix.next_offset >= last.task.trusted_to else None


def _offsets(examined: Examined, key: TopicPartition, end: int, is_known: bool) -> list[Finding]:
    """Checks the two checkpoints of the data directory."""
    found = []
    points = examined.recovery_points
    name = f"{key[0]}-{key[1]}"
    # Without any of them the next start reads everything, and has them then.
    if examined.is_clean and points and points.get(key) != end and is_known:
        point = points.get(key)
        said = f"says that {name} ends at offset {point}" if point is not None else f"says nothing about {name}"
        problem = f"it {said}, and that ends at {end}"
        fix = SetOffset(RECOVERY_POINTS, key, end)
        found.append(Finding(f"{examined.path}/{RECOVERY_POINTS}", None, problem, f"writes {end} there", fix))
    start = examined.start_offsets.get(key, 0)
    if start > end:
        problem = f"it says that {name} begins at offset {start}, and that ends at {end}"
        fix = SetOffset(LOG_STARTS, key, end)
        found.append(Finding(f"{examined.path}/{LOG_STARTS}", None, problem, f"writes {end} there", fix))
    return found


def _epochs(log: LogFiles, found: Sequence[EpochRange], last: Walk, start: int, disk: Disk) -> Finding | Note | None:
    """Checks the file of leader epochs against those of the batches."""
    path = f"{log.directory}/{LEADER_EPOCHS}"
    trusted_to = last.task.trusted_to
    known = [epoch for epoch in found if epoch.last_offset >= start and epoch.first_offset < trusted_to]
    epochs = LeaderEpochs()
    unreadable = None if log.has_epochs or not found else "it is missing"
    if log.has_epochs:
        try:
            epochs.load(disk.read_file(path))
        except CheckpointDamaged as error:
            unreadable = str(error)
        if known and not epochs.entries():
            unreadable = unreadable or "it says nothing"
    if unreadable is not None and trusted_to != EVERYTHING:
        # It is not synced when it is written.
        return Note(path, f"{unreadable}; a power cut may leave it so")
    problem = unreadable or _epoch_problem(epochs.entries(), known, start, trusted_to)
    if problem is None:
        return None
    wanted = LeaderEpochs()
    for epoch in known:
        wanted.assign(epoch.epoch, max(epoch.first_offset, start))
    return Finding(path, None, problem, "writes it as the batches say", WriteFile(path, wanted.to_file()))


def _epoch_problem(
    entries: Sequence[tuple[int, int]], known: Sequence[EpochRange], start: int, trusted_to: int
) -> str | None:
    if entries:
        # The log start is raised in this file first; and segments before it may come back after a power cut.
        start = max(start, entries[0][1])
    for epoch in known:
        for offset in (epoch.first_offset, epoch.last_offset):
            if not start <= offset < trusted_to:
                continue
            said = max((number for number, first in entries if first <= offset), default=None)
            if said != epoch.epoch:
                return f"it says leader epoch {said} at offset {offset}, and the batch there has {epoch.epoch}"
    return None
