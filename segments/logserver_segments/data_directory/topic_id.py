"""Which topic a log's directory belongs to: its `partition.metadata`."""

from typing import Final

from logserver_segments.errors import ForeignDirectory
from logserver_segments.seams import Disk

PARTITION_METADATA: Final = "partition.metadata"


def write_topic_id(directory: str, topic_id: str, disk: Disk) -> None:
    """Says that a log's directory belongs to a topic.

    Raises:
        OSError: the disk refused.
    """
    disk.write_file(f"{directory}/{PARTITION_METADATA}", topic_id_content(topic_id), durable=False)


def topic_id_content(topic_id: str) -> bytes:
    """Returns the content of a file that names a topic."""
    return f"version: 0\ntopic_id: {topic_id}".encode("ascii")


def read_topic_id(directory: str, disk: Disk) -> str | None:
    """Returns the id of the topic that a log's directory says it belongs to, None if it says nothing.

    Raises:
        OSError: the disk refused.
    """
    path = f"{directory}/{PARTITION_METADATA}"
    if not disk.exists(path):
        return None
    lines = disk.read_file(path).decode("ascii", "replace").splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line).get("topic_id")


def check_topic_id(directory: str, topic_id: str, disk: Disk) -> None:
    """Checks that a log's directory belongs to a topic.

    Raises:
        ForeignDirectory: it belongs to another topic.
        OSError: the disk refused.
    """
    found = read_topic_id(directory, disk)
    if found is not None and not topic_id.startswith(found):
        raise ForeignDirectory(f"{directory} belongs to the topic id {found}, not {topic_id}; move it away")
    # The file is not synced when it is made; a power cut may have left any part of it, or none.
    if found is None or not says_topic_id(directory, topic_id, disk):
        write_topic_id(directory, topic_id, disk)


def says_topic_id(directory: str, topic_id: str, disk: Disk) -> bool:
    """Returns whether the file in a log's directory that names its topic is there and whole.

    Raises:
        OSError: the disk refused.
    """
    path = f"{directory}/{PARTITION_METADATA}"
    return disk.exists(path) and disk.read_file(path).rstrip(b"\n") == topic_id_content(topic_id)


def is_of_topic(directory: str, topic_id: str, disk: Disk) -> bool:
    """Returns whether a log's directory belongs to a topic, or does not say to which.

    Raises:
        OSError: the disk refused.
    """
    return topic_id.startswith(read_topic_id(directory, disk) or "")
