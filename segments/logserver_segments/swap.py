"""Putting a compacted segment in the place of the segments it was made from, so that a crash at any point is fine.

The new segment is written and synced under `.cleaned` names. Renaming its log file to `<base>.log.swap` is the moment
it counts: a crash before leaves the old segments, one after is finished by `finish_swaps` at the next start. The swap
file replaces every old segment whose base offset is in the range named by its companion `<base>.replaces`.
"""

from collections.abc import Sequence
from typing import Final

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


def begin_swap(directory: str, base_offset: int, last_base_offset: int, disk: Disk) -> None:
    """Makes the cleaned log file of `base_offset` count, for all segments from there to `last_base_offset`.

    Raises:
        OSError: the disk refused; the old segments still count.
    """
    stem = f"{directory}/{file_name(base_offset, '')}"
    swap = stem + LOG_SUFFIX + SWAP_SUFFIX
    disk.write_file(stem + REPLACES_SUFFIX, str(last_base_offset).encode("ascii"), durable=True)
    disk.rename(stem + LOG_SUFFIX + CLEANED_SUFFIX, swap)
    try:
        disk.sync_directory(directory)
    except OSError:
        # Left there, the next start would put it in the place of whatever the log is by then.
        disk.remove(swap)
        raise


def end_swap(directory: str, base_offset: int, bases: Sequence[int], disk: Disk) -> None:
    """Removes the old segments' files and gives the new one's their names. Safe to repeat."""
    stem = f"{directory}/{file_name(base_offset, '')}"
    for base in bases:
        for suffix in (INDEX_SUFFIX, TIME_INDEX_SUFFIX):
            disk.remove(f"{directory}/{file_name(base, suffix)}")
        if base != base_offset:
            disk.remove(f"{directory}/{file_name(base, TXN_INDEX_SUFFIX)}")
            disk.remove(f"{directory}/{file_name(base, LOG_SUFFIX)}")
    # Before the log file gets its name, because it is not made again where it is missing. If this is repeated it may
    # be in its place already.
    if disk.exists(stem + TXN_INDEX_SUFFIX + CLEANED_SUFFIX):
        disk.rename(stem + TXN_INDEX_SUFFIX + CLEANED_SUFFIX, stem + TXN_INDEX_SUFFIX)
    disk.rename(stem + LOG_SUFFIX + SWAP_SUFFIX, stem + LOG_SUFFIX)
    for suffix in (INDEX_SUFFIX, TIME_INDEX_SUFFIX):
        # Gone if it is repeated; then the index is made again when it is needed.
        if disk.exists(stem + suffix + CLEANED_SUFFIX):
            disk.rename(stem + suffix + CLEANED_SUFFIX, stem + suffix)
    disk.sync_directory(directory)
    disk.remove(stem + REPLACES_SUFFIX)


def undo_swap(directory: str, base_offset: int, disk: Disk) -> None:
    """Removes what was made for a swap that did not begin."""
    stem = f"{directory}/{file_name(base_offset, '')}"
    for suffix in (LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX):
        disk.remove(stem + suffix + CLEANED_SUFFIX)
    disk.remove(stem + REPLACES_SUFFIX)


def finish_swaps(directory: str, entries: Sequence[Entry], disk: Disk) -> bool:
    """Finishes swaps that had begun and removes what of others is left; returns whether anything was done."""
    names = {entry.name for entry in entries}
    swapped = sorted(name for name in names if name.endswith(LOG_SUFFIX + SWAP_SUFFIX))
    for name in swapped:
        base = offset_of_file(name)
        last = int(disk.read_file(f"{directory}/{file_name(base, REPLACES_SUFFIX)}"))
        logs = (offset_of_file(other) for other in names if other.endswith(LOG_SUFFIX) and is_file_of_log(other))
        end_swap(directory, base, [found for found in logs if base <= found <= last], disk)
    done = bool(swapped)
    for name in names:
        if name.endswith((CLEANED_SUFFIX, REPLACES_SUFFIX)):
            disk.remove(f"{directory}/{name}")
            done = True
    return done
