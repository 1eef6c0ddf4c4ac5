"""Which pages of files the kernel keeps in memory, and having it forget them, so that reading them needs the disk."""

import ctypes
import mmap
import os
from pathlib import Path
from typing import Final

_PAGE: Final = mmap.PAGESIZE


def drop(folder: Path) -> None:
    """Has the kernel forget the pages of all files below a folder, after they were written.

    What a process has mapped and read stays.
    """
    for path in _files(folder):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
            os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(number)


def resident_part(folder: Path) -> float:
    """Returns how much of the bytes of all files below a folder is in memory, from 0 to 1."""
    resident = total = 0
    for path in _files(folder):
        size = path.stat().st_size
        if size:
            total += size
            resident += _resident_pages(path, size) * _PAGE
    return min(resident / total, 1.0) if total else 0.0


def _resident_pages(path: Path, size: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        anchor = ctypes.c_char.from_buffer(mapped)
        found = (ctypes.c_ubyte * -(-size // _PAGE))()
        try:
            if libc.mincore(ctypes.c_void_p(ctypes.addressof(anchor)), ctypes.c_size_t(size), found):
                raise OSError(ctypes.get_errno(), "mincore failed")
        finally:
            del anchor
    return sum(page & 1 for page in bytes(found))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
