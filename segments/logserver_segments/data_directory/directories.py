"""The data directories of one server: which of them a log is in, and what becomes of the others when one fails.

Each has a lock, an id, checkpoints and a flusher of its own. One that can't be used when the server starts keeps its
logs from being used; the others go on (as Kafka, KIP-112).
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final

from logserver_segments.checkpoints import TopicPartition
from logserver_segments.config import LogConfig
from logserver_segments.data_directory.directory import DataDirectory
from logserver_segments.data_directory.meta import META
from logserver_segments.data_directory.names import has_logs
from logserver_segments.data_directory.topic_id import is_of_topic
from logserver_segments.errors import ForeignDirectory, LogOffline
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.seams import Disk
from logserver_segments.segment import LOG_SUFFIX
from logserver_segments.space import DirectoryState

_log = get_logger("logserver.segments")

_FIRST: Final = 0

OpenDirectory = Callable[[str, str | None], DataDirectory]
"""Opens the directory at a path; the cluster id that it must have, and that a new one gets, is the other argument."""


class DataDirectories:
    """All data directories. Methods belong to one thread, as those of `DataDirectory`.

    Args:
        paths: of the directories, at least one.
        open_one: opens one of them.
        main_log: the log that knows the others. One directory must have it, unless there are no logs at all.
        main_path: of the directory in which that log has to be, one of `paths`; None: where it is, at first the first.

    Raises:
        DirectoryInUse: another process has one of them open.
        ForeignDirectory: one holds something else than this server's data, or the log that knows the others is missing.
        OSError: the disk refused all of them, or what says that the others can go on without one.
    """

    def __init__(
        self,
        paths: Sequence[str],
        open_one: OpenDirectory,
        *,
        disk: Disk,
        main_log: TopicPartition,
        main_path: str | None = None,
    ) -> None:
        self.paths = tuple(paths)
        self._disk = disk
        self._main = main_log
        # Those that can be used, in the order of the paths, and what is wrong with the others.
        self.online: list[DataDirectory] = []
        self.failed: dict[str, OSError] = {}
        # Where each log is that was asked for.
        self._where: dict[TopicPartition, DataDirectory] = {}
        # Directory ids of which nobody knows where they are, with the paths they had.
        self._missing: dict[str, str] = {}
        self._unfound = 0
        self._all_opened = False
        if len(set(self.paths)) < len(self.paths):
            raise ForeignDirectory(f"log.dirs names a directory twice: {', '.join(self.paths)}")
        try:
            self._open_all(open_one)
            self._where[main_log] = self._main_directory(main_path)
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        for directory in self.online:
            try:
                directory.close()
            except OSError as error:
                # Why there is no start is told by the caller.
                _log.error("no clean stop", path=directory.path, error=str(error))

    def _open_all(self, open_one: OpenDirectory) -> None:
        # A new directory gets the cluster's id; but first it has to be sure that the others are all there is.
        known = [path for path in self.paths if self._is_formatted(path)]
        for path in known:
            self._open(path, open_one)
        if known and not self.online:
            raise next(iter(self.failed.values()))
        if len(self.paths) > 1 and not self._have_main_log():
            if self.failed:
                raise ForeignDirectory(
                    f"the log of the server's metadata is in none of the data directories that can be used, so it may "
                    f"be in one that can not: {self._failures()}. Look after the disk, or take out what is lost"
                )
            if any(has_logs(directory.path, self._disk) for directory in self.online):
                raise ForeignDirectory(
                    f"the data directories hold logs, and the log of the server's metadata, which knows them, is in "
                    f"none of {', '.join(self.paths)}; name the one that has it in log.dirs. Is a disk not mounted?"
                )
        for path in self.paths:
            if path not in known and path not in self.failed:
                self._open(path, open_one)
        if not self.online:
            raise next(iter(self.failed.values()))
        self.online.sort(key=lambda directory: self.paths.index(directory.path))
        ids = [directory.meta.directory_id for directory in self.online]
        if len(set(ids)) < len(ids):
            raise ForeignDirectory(f"two of {', '.join(self.paths)} have the same directory.id, so one is a copy")

    def _is_formatted(self, path: str) -> bool:
        try:
            return self._disk.exists(f"{path}/{META}")
        except OSError as error:
            self._fail(path, error)
            return False

    def _open(self, path: str, open_one: OpenDirectory) -> None:
        try:
            self.online.append(open_one(path, self.online[_FIRST].meta.cluster_id if self.online else None))
        except OSError as error:
            self._fail(path, error)

    def _fail(self, path: str, error: OSError) -> None:
        self.failed[path] = error
        if len(self.paths) > 1:
            _log.error("data directory offline, with all its logs", path=path, reason=error.strerror or str(error))

    def _failures(self) -> str:
        return ", ".join(f"{path} ({error.strerror or error})" for path, error in self.failed.items())

    def _have_main_log(self) -> bool:
        return any(self._disk.exists(directory.log_directory(*self._main)) for directory in self.online)

    def _main_directory(self, main_path: str | None) -> DataDirectory:
        found = [one for one in self.online if self._disk.exists(one.log_directory(*self._main))]
        if len(found) > 1:
            raise ForeignDirectory(
                f"{' and '.join(one.path for one in found)} both have the log of a server's metadata; take out the one "
                f"that is not this server's"
            )
        wanted = [one for one in self.online if main_path is None or one.path == main_path]
        if not wanted or (found and found[_FIRST] not in wanted):
            where = f"is in {found[_FIRST].path}" if found else "can't be made there"
            raise ForeignDirectory(f"metadata.log.dir={main_path}, but the log of the server's metadata {where}")
        return found[_FIRST] if found else wanted[_FIRST]

    # What is there

    @property
    def was_clean(self) -> bool:
        """Whether all that can be used were closed cleanly; one that is new was not open."""
        return all(one.was_clean or one.is_new for one in self.online) and any(one.was_clean for one in self.online)

    @property
    def cluster_id(self) -> str:
        return self.online[_FIRST].meta.cluster_id

    def __len__(self) -> int:
        return sum(map(len, self.online))

    def __iter__(self) -> Iterator[tuple[TopicPartition, Log]]:
        for directory in self.online:
            yield from directory

    def states(self) -> list[DirectoryState]:
        """Returns the state of every directory, in the order of their paths."""
        known = {state.path: state for directory in self.online for state in directory.states()}
        return [known.get(path) or DirectoryState(path, 0, 0, 0, self.failed.get(path)) for path in self.paths]

    def path_of(self, topic: str, partition: int) -> str | None:
        """Returns the path of the directory that a log is in; None if that is not known."""
        found = self._where.get((topic, partition))
        return found.path if found is not None else None

    def shortage(self) -> str | None:
        """Returns why no records are taken by any directory, or None."""
        said = [directory.shortage() for directory in self.online]
        return said[_FIRST] if None not in said else None

    # Directories that are not there

    def ids(self) -> dict[str, str]:
        """Returns the directories to remember as this server's for its next start: paths by id."""
        present = {directory.meta.directory_id: directory.path for directory in self.online}
        return (self._missing if self._unfound else {}) | present

    def expect(self, known: Mapping[str, str]) -> None:
        """Tells which directories the server had: a log that is not found may be in one of these.

        Without this an empty directory in place of a disk that is not mounted would have logs made anew, and empty.

        Args:
            known: paths by id.
        """
        present = {directory.meta.directory_id for directory in self.online}
        self._missing = {known_id: path for known_id, path in known.items() if known_id not in present}
        for known_id, path in self._missing.items():
            if path not in self.failed:
                _log.error("data directory missing, with all its logs", path=path, directory_id=known_id)

    # Logs

    def open(self, topic: str, partition: int, topic_id: str, config: LogConfig) -> Log:
        """Opens a log where it is, or makes an empty one in the directory that has the fewest.

        Raises:
            LogOffline: it is nowhere, and may be in a directory that can't be used.
            ForeignDirectory: it is in several directories, or the log there is of another topic of that name.
            OSError: the disk refused.
        """
        key = (topic, partition)
        directory = self._where[key] if key in self._where else self._find(key, topic_id)
        if directory is not None:
            self._where[key] = directory
            return directory.open(topic, partition, topic_id, config)
        if not self._all_opened and (self._missing or self.failed):
            self._unfound += 1
            raise LogOffline(
                f"{topic}-{partition} is in none of the data directories that can be used; it may be in one that can "
                f"not: {self._failures() or self._missed()}"
            )
        return self._make(key, topic_id, config)

    def _missed(self) -> str:
        named = ", ".join(f"{path} (directory.id={known_id})" for known_id, path in self._missing.items())
        return (
            f"{named}. Name it in log.dirs, or, if it is lost for good, its id in log.dirs.lost: then its logs are "
            f"made anew, empty"
        )

    def _find(self, key: TopicPartition, topic_id: str) -> DataDirectory | None:
        """Returns where a log is; None if it is nowhere."""
        if len(self.online) == 1 and not self._missing and not self.failed:
            return self.online[_FIRST]
        found = [one for one in self.online if self._disk.exists(one.log_directory(*key))]
        if len(found) < 2:
            return found[_FIRST] if found else None
        # A topic that was deleted while a directory was away, and made again; or making a log failed half-way.
        fitting = [one for one in found if is_of_topic(one.log_directory(*key), topic_id, self._disk)] or found
        filled = [one for one in fitting if self._has_records(one.log_directory(*key))] or fitting[:1]
        if len(filled) > 1:
            raise ForeignDirectory(
                f"{key[0]}-{key[1]} is in {' and in '.join(one.path for one in filled)}; move the wrong one away"
            )
        return filled[_FIRST]

    def _has_records(self, directory: str) -> bool:
        return any(entry.size and entry.name.endswith(LOG_SUFFIX) for entry in self._disk.list(directory))

    def _make(self, key: TopicPartition, topic_id: str, config: LogConfig) -> Log:
        failure: OSError | None = None
        # In an order that leaves those for the end in which something has gone wrong, or that are full.
        for directory in sorted(self.online, key=lambda one: (one.has_lost_logs, one.room.is_short, len(one))):
            try:
                log = directory.open(*key, topic_id, config)
            except OSError as error:
                failure = error
                _log.error("a log can't be made here", log=f"{key[0]}-{key[1]}", path=directory.path, error=str(error))
                directory.undo_open(*key)
            else:
                self._where[key] = directory
                return log
        assert failure is not None
        raise failure

    def _directory_of(self, topic: str, partition: int) -> DataDirectory:
        return self._where.get((topic, partition), self.online[_FIRST])

    def close_log(self, topic: str, partition: int) -> None:
        """Takes a log out of use and leaves it on disk; it may be opened again."""
        self._directory_of(topic, partition).close_log(topic, partition)

    def delete(self, topic: str, partition: int) -> Awaitable[None]:
        """Takes a log out of use and renames its directory; see `DataDirectory.delete`."""
        directory = self._directory_of(topic, partition)
        self._where.pop((topic, partition), None)
        return directory.delete(topic, partition)

    def opened_all(self) -> None:
        """Says that every log there is has been opened: what is asked for from here on is new."""
        self._all_opened = True
        for directory in self.online:
            directory.opened_all()

    def set_strays_aside(self, known: Callable[[str, int], bool]) -> list[str]:
        """Renames the directories of logs that no topic knows, or that are elsewhere; see `DataDirectory`."""
        paths = []
        for directory in self.online:

            def is_known(topic: str, partition: int, here: DataDirectory = directory) -> bool:
                return known(topic, partition) and self._where.get((topic, partition), here) is here

            paths += directory.set_strays_aside(is_known)
        return paths

    async def persist_start_offset(self, topic: str, partition: int) -> None:
        """Makes the start offset of a log durable.

        Raises:
            OSError: the disk refused.
        """
        await self._directory_of(topic, partition).persist_start_offsets()
