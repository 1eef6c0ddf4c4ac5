"""What a check finds, and what repair would do about it."""

from typing import NamedTuple

from logserver_segments.checkpoints import TopicPartition


class Replace(NamedTuple):
    """A range of a segment file goes into a side file; an empty batch takes the place of the offsets that it held.

    A range without bytes is a place where offsets are missing. Without offsets (`first_offset == next_offset`) nothing
    takes its place.
    """

    path: str
    start: int
    end: int
    first_offset: int
    next_offset: int


class DropRecords(NamedTuple):
    """A batch goes into a side file; one without some of its records takes its place, with the same offsets."""

    path: str
    start: int
    end: int
    offsets: tuple[int, ...]


class RemakeIndexes(NamedTuple):
    """The offset and time index of a segment file are made again from its batches."""

    path: str
    is_sealed: bool


class WriteFile(NamedTuple):
    """A file that is only derived from others gets this content; without content it is removed."""

    path: str
    content: bytes


class SetOffset(NamedTuple):
    """A log's line in an offset checkpoint of the data directory says this offset; None: there is none."""

    checkpoint: str
    key: TopicPartition
    offset: int | None


class SetAside(NamedTuple):
    """The directory of a log gets a name under which the server leaves it alone, and an empty one takes its place."""

    path: str
    key: TopicPartition
    topic_id: str


class MakeSegment(NamedTuple):
    """A log without a segment file gets an empty one, so that its offsets go on where they were."""

    path: str


Fix = Replace | DropRecords | RemakeIndexes | WriteFile | SetOffset | SetAside | MakeSegment


class Finding(NamedTuple):
    """Something that is not as the server leaves it."""

    path: str
    """Of the file or directory."""
    position: int | None
    """Byte of the file at which it begins; None if it is about the whole."""
    problem: str
    """What is wrong, in words."""
    remedy: str
    """What repair does about it, in words."""
    fix: Fix | None
    """The same for `repair`; None if it can do nothing."""


class Note(NamedTuple):
    """Something to know that is not wrong, such as what the next start will do by itself."""

    path: str
    text: str
