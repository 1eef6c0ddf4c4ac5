"""Putting a compacted segment in the place of the segments it was made from, so that a crash at any point is fine.

The new segment is written and synced in files `<name>.<token>.cleaned`. To begin the swap they are renamed to
`<name>.swap`, the file of batches last: `<base>.log.swap` is what counts. A crash before leaves the old segments, one
after is finished by `finish_swaps` at the next start. The swap file replaces every old segment whose base offset is in
the range named by its companion `<base>.replaces`. (Apache Kafka has the same names, and finishes it, too.)

That it has begun is made durable before anything goes; that it has ended, before anybody relies on it.
"""

from collections.abc import Sequence
from typing import Final

from logserver_segments.errors import CorruptRecords
from logserver_segments.seams import Disk, Entry
from logserver_segments.segment import (
    INDEX_SUFFIX,
    LOG_SUFFIX,
    TIME_INDEX_SUFFIX,
    TXN_INDEX_SUFFIX,
    file_name,
    is_file_of_log,
    offset_of_file,
)

CLEANED_SUFFIX: Final = ".cleaned"
SWAP_SUFFIX: Final = ".swap"
REPLACES_SUFFIX: Final = ".replaces"

_INDEXES: Final = (INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX)


def cleaned_path(path: str, token: str) -> str:
    """Returns under what path a file of a new segment is written."""
    return f"{path}.{token}{CLEANED_SUFFIX}"


def write_cleaned(path: str, content: bytes, token: str, disk: Disk) -> None:
    """Writes a file of a new segment as a whole, and syncs it; that it is there becomes durable with the swap.

    Raises:
        OSError: the disk refused.
    """
    file = disk.open(cleaned_path(path, token), create=True)
    if content:
        file.write((content,), 0)
        file.sync()


def write_replaces(directory: str, base_offset: int, last_base_offset: int, token: str, disk: Disk) -> None:
    """Writes down which segments a new one replaces: all from its base offset to another one (inclusive).

    Raises:
        OSError: the disk refused.
    """
    path = f"{directory}/{file_name(base_offset, REPLACES_SUFFIX)}"
    write_cleaned(path, str(last_base_offset).encode("ascii"), token, disk)


def discard(directory: str, base_offset: int, token: str, disk: Disk) -> None:
    """Removes the files of a new segment whose swap did not begin.

    Raises:
        OSError: the disk refused.
    """
    for suffix in (LOG_SUFFIX, *_INDEXES, REPLACES_SUFFIX):
        disk.remove(cleaned_path(f"{directory}/{file_name(base_offset, suffix)}", token))


def discard_all(directory: str, token: str, disk: Disk) -> None:
    """Removes the files of all new segments of one attempt that were not swapped in, whatever they are.

    Raises:
        OSError: the disk refused.
    """
    for entry in disk.list(directory):
        if entry.name.endswith(cleaned_path("", token)):
            disk.remove(f"{directory}/{entry.name}")


def begin_swap(directory: str, base_offset: int, token: str, disk: Disk) -> None:
    """Makes the new segment count at the next start. Durable once the directory is synced.

    Raises:
        OSError: the disk refused; the old segments still count.
    """
    stem = f"{directory}/{file_name(base_offset, '')}"
    try:
        disk.rename(cleaned_path(stem + REPLACES_SUFFIX, token), stem + REPLACES_SUFFIX)
        for suffix in (*_INDEXES, LOG_SUFFIX):
            disk.rename(cleaned_path(stem + suffix, token), stem + suffix + SWAP_SUFFIX)
    except OSError:
        undo_swap(directory, base_offset, disk)
        discard(directory, base_offset, token, disk)
        raise


def undo_swap(directory: str, base_offset: int, disk: Disk) -> None:
    """Makes the old segments count again, before `end_swap`. Durable once the directory is synced.

    Raises:
        OSError: the disk refused.
    """
    stem = f"{directory}/{file_name(base_offset, '')}"
    # Left there, the next start would put it in the place of whatever the log is by then.
    disk.remove(stem + LOG_SUFFIX + SWAP_SUFFIX)
    for suffix in _INDEXES:
        disk.remove(stem + suffix + SWAP_SUFFIX)
    disk.remove(stem + REPLACES_SUFFIX)


def end_swap(directory: str, base_offset: int, bases: Sequence[int], disk: Disk) -> None:
    """Removes the old segments' files and gives the new one's their names; `forget_swap` comes once that is durable.
    Safe to repeat.

    Raises:
        OSError: the disk refused; the next start finishes it.
    """
    stem = f"{directory}/{file_name(base_offset, '')}"
    for base in bases:
        if base != base_offset:
            for suffix in (*_INDEXES, LOG_SUFFIX):
                disk.remove(f"{directory}/{file_name(base, suffix)}")
    for suffix in _INDEXES:
        # If this is repeated it may be in its place already.
        if disk.exists(stem + suffix + SWAP_SUFFIX):
            disk.rename(stem + suffix + SWAP_SUFFIX, stem + suffix)
    # Last, because its being there is what says that all this is to be done.
    disk.rename(stem + LOG_SUFFIX + SWAP_SUFFIX, stem + LOG_SUFFIX)


def forget_swap(directory: str, base_offset: int, disk: Disk) -> None:
    """Removes what is left of a swap that has ended for good.

    Raises:
        OSError: the disk refused; the next start does it.
    """
    disk.remove(f"{directory}/{file_name(base_offset, REPLACES_SUFFIX)}")


def last_replaced(directory: str, base_offset: int, disk: Disk) -> int:
    """Returns the base offset of the last segment that a swap which has begun replaces.

    Raises:
        CorruptRecords: the file that tells it is damaged.
        OSError: the disk refused.
    """
    path = f"{directory}/{file_name(base_offset, REPLACES_SUFFIX)}"
    content = disk.read_file(path)
    if not content.isdigit() or int(content) < base_offset:
        raise CorruptRecords(f"{path} does not tell which segments the new one beside it replaces")
    return int(content)


def finish_swaps(directory: str, entries: Sequence[Entry], disk: Disk) -> bool:
    """Finishes swaps that had begun and removes what of others is left; returns whether anything was done.

    Raises:
        CorruptRecords: as `last_replaced`; nothing of that swap was done.
        OSError: the disk refused; the next start finishes it.
    """
    names = {entry.name for entry in entries if is_file_of_log(entry.name)}
    # Without its companion it is of a beginning that did not become durable.
    swapped = sorted(
        name
        for name in names
        if name.endswith(LOG_SUFFIX + SWAP_SUFFIX) and file_name(offset_of_file(name), REPLACES_SUFFIX) in names
    )
    for name in swapped:
        base = offset_of_file(name)
        last = last_replaced(directory, base, disk)
        logs = (offset_of_file(other) for other in names if other.endswith(LOG_SUFFIX))
        end_swap(directory, base, [found for found in logs if base <= found <= last], disk)
    if swapped:
        disk.sync_directory(directory)
    done = {offset_of_file(name) for name in swapped}
    left = [name for name in names if name.endswith((CLEANED_SUFFIX, SWAP_SUFFIX, REPLACES_SUFFIX))]
    for name in left:
        if name.endswith(SWAP_SUFFIX) and offset_of_file(name) not in done:
            # Whether the index beside it is of the old segment or the new one nobody knows; it is made again.
            disk.remove(f"{directory}/{file_name(offset_of_file(name), INDEX_SUFFIX)}")
            disk.remove(f"{directory}/{file_name(offset_of_file(name), TIME_INDEX_SUFFIX)}")
        disk.remove(f"{directory}/{name}")
    return bool(left)
