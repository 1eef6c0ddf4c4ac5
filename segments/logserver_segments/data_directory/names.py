"""Names of the directories in a data directory: of logs, of logs on their way out, of logs that nobody knows."""

from collections.abc import Callable, Iterator
from typing import Final

from logserver_segments.checkpoints import TopicPartition
from logserver_segments.data_directory.topic_id import PARTITION_METADATA
from logserver_segments.seams import Disk, Random

DELETE_SUFFIX: Final = "-delete"
STRAY_SUFFIX: Final = "-stray"


def directory_of(path: str, key: TopicPartition) -> str:
    """Returns the path of a log's directory."""
    return f"{path}/{key[0]}-{key[1]}"


def way_out(path: str, key: TopicPartition, suffix: str, random: Random) -> str:
    """Returns a path that is not taken, for a log's directory that is to make room for one of the same name."""
    # A name has 255 bytes at most, which a long topic name leaves no room in.
    return f"{path}/{key[0][:150]}-{key[1]}.{random.randbytes(16).hex()}{suffix}"


def key_of(name: str) -> TopicPartition | None:
    """Returns the log whose directory has a name, None if it is not what one of ours is called."""
    topic, _, number = name.rpartition("-")
    if not topic or not (number.isascii() and number.isdigit()):
        return None
    # `t-007` is no name of ours.
    return (topic, int(number)) if str(int(number)) == number else None


def logs_in(path: str, disk: Disk) -> Iterator[TopicPartition]:
    """Yields the logs that have a directory.

    Raises:
        OSError: the disk refused.
    """
    for entry in disk.list(path):
        key = key_of(entry.name) if entry.is_directory else None
        if key is not None:
            yield key


def has_logs(path: str, disk: Disk) -> bool:
    """Returns whether a data directory has logs of topics.

    Raises:
        OSError: the disk refused.
    """
    return any(disk.exists(f"{directory_of(path, key)}/{PARTITION_METADATA}") for key in logs_in(path, disk))


def strays(path: str, known: Callable[[str, int], bool], disk: Disk) -> Iterator[TopicPartition]:
    """Yields the logs that have a directory and that nobody knows.

    Raises:
        OSError: the disk refused.
    """
    for key in logs_in(path, disk):
        if not known(*key) and disk.exists(f"{directory_of(path, key)}/{PARTITION_METADATA}"):
            yield key


def remove_deleted(path: str, disk: Disk) -> None:
    """Removes what is left of logs whose deletion a stop interrupted.

    Raises:
        OSError: the disk refused.
    """
    for entry in disk.list(path):
        if entry.is_directory and entry.name.endswith(DELETE_SUFFIX):
            disk.remove_tree(f"{path}/{entry.name}")
