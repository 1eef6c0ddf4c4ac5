"""Checking data directories of a stopped server: what `logserver verify` does, without what it prints."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from logserver_segments.checkpoints import TopicPartition
from logserver_segments.data_directory.meta import LOCK, META, claim, parse_properties
from logserver_segments.disk import OsDisk, ReadOnlyDisk
from logserver_segments.errors import DirectoryInUse, StorageError
from logserver_segments.machine import SystemRandom
from logserver_segments.seams import Lock
from logserver_segments.verification.conclude import Conclusion, conclude
from logserver_segments.verification.directory import About, Examined, examine
from logserver_segments.verification.findings import Finding, Note
from logserver_segments.verification.repair import repair
from logserver_segments.verification.task import Task, Walk, check

from logserver.broker.configs import CONFIGS_PREFIX
from logserver.broker.topics import METADATA_TOPIC, METADATA_TOPIC_ID, TopicRecord
from logserver.cli.failures import CommandFailed, disk_refused, sentence
from logserver.cli.internal_logs import directories_of, read_image, record_check, topics_of
from logserver.cli.progress import progress_bar
from logserver.cli.spreading import SMALL_BYTES, ProcessEnded, default_jobs, spread

_METADATA: Final = (METADATA_TOPIC, 0)
_MOST_PASSES: Final = 4


class CannotCheck(CommandFailed):
    """There is nothing to check, or nobody may: not what findings end with."""

    exit_code = 2


@dataclass
class Checked:
    """What was found in some directories, and done about it."""

    directories: list[str]
    is_clean_stop: bool = True
    logs: int = 0
    batches: int = 0
    records: int = 0
    bytes_checked: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    side_files: list[str] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    """What there is still after a repair."""


def check_directories(paths: Sequence[str], *, mend: bool, jobs: int | None, default_cleanup: Sequence[str]) -> Checked:
    """Checks the data directories of one server, and repairs them.

    Args:
        mend: whether to repair.
        jobs: how many processes; None: as many as are worth it.
        default_cleanup: `log.cleanup.policy` of the server.

    Raises:
        CannotCheck: a directory is none of a server's, or in use.
    """
    started = time.monotonic()
    disk = OsDisk() if mend else ReadOnlyDisk()
    checked = Checked(list(paths))
    if len({os.path.realpath(path) for path in paths}) < len(paths):
        raise CannotCheck("A directory is named twice.")
    with ExitStack() as stack:
        for path in paths:
            lock = _claim(path, disk)
            if lock is not None:
                stack.callback(lock.release)
        try:
            found = _look(checked, disk, jobs, default_cleanup)
            checked.findings = found
            checked.left = list(found)
            if mend:
                _mend(checked, disk, jobs, default_cleanup)
        except OSError as error:
            raise CannotCheck(disk_refused(error)) from error
        except ProcessEnded as error:
            raise CannotCheck(error.message) from error
    checked.seconds = time.monotonic() - started
    return checked


def _claim(path: str, disk: OsDisk) -> Lock | None:
    """Takes the lock of a server; there is none where nobody can write."""
    try:
        if not Path(path).is_dir():
            raise CannotCheck(f"There is no directory {path}.")
        if disk.exists(f"{path}/{METADATA_TOPIC}-0"):
            # Ours, even if the file that says so is gone.
            try:
                return disk.lock(f"{path}/{LOCK}")
            except BlockingIOError:
                raise DirectoryInUse(
                    f"the data directory {path} is in use by a server; stop it first: what it writes would look damaged"
                ) from None
        if not disk.exists(f"{path}/{META}"):
            raise CannotCheck(f"{path} has no {META}, so it is not the data directory of a server.")
        return claim(path, disk)
    except StorageError as error:
        raise CannotCheck(sentence(str(error))) from error
    except OSError as error:
        if error.errno == errno.EROFS and isinstance(disk, ReadOnlyDisk):
            return None
        raise CannotCheck(f"{path} can't be looked at: {error.strerror or error}.") from error


def _mend(checked: Checked, disk: OsDisk, jobs: int | None, default_cleanup: Sequence[str]) -> None:
    """Repairs and looks again, because behind what is repaired more can be seen, until there is nothing left to do."""
    for _ in range(_MOST_PASSES):
        if not any(finding.fix is not None for finding in checked.left):
            return
        for path in checked.directories:
            mine = [finding for finding in checked.left if finding.path.startswith(f"{path}/")]
            checked.side_files += repair(path, mine, disk, SystemRandom())
        checked.left = _look(Checked(checked.directories), disk, jobs, default_cleanup)
        checked.findings += [finding for finding in checked.left if finding not in checked.findings]


def _look(checked: Checked, disk: OsDisk, jobs: int | None, default_cleanup: Sequence[str]) -> list[Finding]:
    images = [path for path in checked.directories if disk.exists(f"{path}/{METADATA_TOPIC}-0")]
    image = read_image(f"{images[0]}/{METADATA_TOPIC}-0", disk) if images else {}
    topics = topics_of(image)
    cleanup = _default_cleanup(image, default_cleanup)
    about = partial(_about, topics, bool(images), cleanup)
    examined = [examine(path, about, disk) for path in checked.directories]
    tasks = [task for one in examined for task in one.tasks]
    total = sum(task.size_bytes for task in tasks)
    if jobs is None:
        jobs = default_jobs() if total > SMALL_BYTES else 1
    walks: dict[str, list[Walk]] = {path: [] for path in checked.directories}
    with progress_bar("Checking", total) as progress:
        for task, walk in spread(check_one, tasks, jobs):
            walks[task.directory.rpartition("/")[0]].append(walk)
            progress.update(task.size_bytes)
    findings: list[Finding] = []
    for one in examined:
        found = conclude(one, walks[one.path], disk)
        findings += found.findings
        checked.notes += found.notes
        _add(checked, one, found)
    others = _other_directories(checked, image, disk)
    if others:
        text = f"the server has other directories, which were not looked at: {', '.join(others)}"
        checked.notes.append(Note(checked.directories[0], text))
    else:
        findings += _missing(checked, examined, topics, bool(images))
    return findings


def _other_directories(checked: Checked, image: dict[bytes, bytes], disk: OsDisk) -> list[str]:
    """Returns the paths of the server's directories that were not named."""
    given = set()
    for path in checked.directories:
        if disk.exists(f"{path}/{META}"):
            given.add(parse_properties(disk.read_file(f"{path}/{META}")).get("directory.id"))
    return [path for name, path in directories_of(image).items() if name not in given]


def check_one(task: Task) -> Walk:
    """Does one task, in whatever process."""
    return check(task, ReadOnlyDisk())


def _add(checked: Checked, examined: Examined, found: Conclusion) -> None:
    checked.is_clean_stop = checked.is_clean_stop and examined.is_clean
    checked.logs += found.logs
    checked.batches += found.batches
    checked.records += found.records
    checked.bytes_checked += found.bytes_checked


def _default_cleanup(image: dict[bytes, bytes], default: Sequence[str]) -> str:
    """Returns what topics without a cleanup policy of their own have, also what was set while the server ran."""
    dynamic = [value for key, value in image.items() if key.startswith(CONFIGS_PREFIX + b"broker/")]
    return ",".join((*default, *(value.decode("utf-8", "replace") for value in dynamic)))


def _about(topics: dict[str, TopicRecord], is_known: bool, cleanup: str, key: TopicPartition) -> About | None:
    topic, partition = key
    if key == _METADATA:
        return About(METADATA_TOPIC_ID, True, record_check(topic, 0, 1))
    if not is_known:
        return About(None, True)
    found = topics.get(topic)
    if found is None or partition >= found.partitions:
        return None
    policy = found.settings.get("cleanup.policy", cleanup)
    return About(found.topic_id, "compact" in policy, record_check(topic, partition, found.partitions))


def _missing(
    checked: Checked, examined: Sequence[Examined], topics: dict[str, TopicRecord], is_known: bool
) -> list[Finding]:
    """Checks that every partition has its log."""
    path = checked.directories[0]
    if not is_known:
        problem = "no directory has this log, which says what topics there are (name all directories of the server)"
        return [Finding(f"{path}/{METADATA_TOPIC}-0", None, problem, "nothing", None)]
    there = {key for one in examined for key in one.logs}
    missing = [
        f"{topic.name}-{partition}"
        for topic in topics.values()
        for partition in range(topic.partitions)
        if (topic.name, partition) not in there
    ]
    if not missing:
        return []
    if not checked.is_clean_stop:
        checked.notes += [
            Note(f"{path}/{name}", "the log has not been made yet; the next start does") for name in missing
        ]
        return []
    return [
        Finding(f"{path}/{name}", None, "the log is missing", "nothing: the next start makes an empty one", None)
        for name in missing
    ]
