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
    disk.write_file(stem + REPLACES_SUFFIX, str(last_base_offset).encode("ascii"), durable=True)
    disk.rename(stem + LOG_SUFFIX + CLEANED_SUFFIX, stem + LOG_SUFFIX + SWAP_SUFFIX)
    disk.sync_directory(directory)


def end_swap(directory: str, base_offset: int, bases: Sequence[int], disk: Disk) -> None:
    """Removes the old segments' files and gives the new one its name. Safe to repeat."""
    stem = f"{directory}/{file_name(base_offset, '')}"
    for base in bases:
        for suffix in (INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX):
            disk.remove(f"{directory}/{file_name(base, suffix)}")
        if base != base_offset:
            disk.remove(f"{directory}/{file_name(base, LOG_SUFFIX)}")
    disk.rename(stem + LOG_SUFFIX + SWAP_SUFFIX, stem + LOG_SUFFIX)
    disk.sync_directory(directory)
    disk.remove(stem + REPLACES_SUFFIX)


def finish_swaps(directory: str, entries: Sequence[Entry], disk: Disk) -> bool:
    """Finishes swaps that had begun and removes what of others is left; returns whether anything was done."""
    names = {entry.name for entry in entries}
    done = False
    for name in sorted(names):
        if name.endswith(LOG_SUFFIX + SWAP_SUFFIX):
            base = int(name.split(".", 1)[0])
            last = int(disk.read_file(f"{directory}/{file_name(base, REPLACES_SUFFIX)}"))
            logs = (int(other.split(".", 1)[0]) for other in names if other.endswith(LOG_SUFFIX))
            bases = [found for found in logs if base <= found <= last]
            end_swap(directory, base, bases, disk)
            done = True
    for name in names:
        if name.endswith(CLEANED_SUFFIX) or (
            name.endswith(REPLACES_SUFFIX)
            and name.removesuffix(REPLACES_SUFFIX) + LOG_SUFFIX + SWAP_SUFFIX not in names
        ):
            disk.remove(f"{directory}/{name}")
            done = True
    return done
