"""What the daemon changes about its process, when the process is its own."""

import asyncio
import contextlib
import ctypes
import gc
import os
import sys
import time
from pathlib import Path
from typing import Final

from logserver.settings import ServerSettings

# glibc's malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

GC_THRESHOLDS: Final = (50_000, 20, 100)
_TRIM_THRESHOLD_BYTES: Final = 64 << 20
_MMAP_THRESHOLD_BYTES: Final = 32 << 20

_LOOK_S: Final = 1.0
_IDLE_PART: Final = 0.05
"""A process that takes less of the processor's time has nothing to do but its housekeeping."""
_WORTH_S: Final = 0.5
_WORTH_BYTES: Final = 8 << 20
"""So much processor time has to have been used since memory was given back last, or the process has to have grown by so
much: reading half a GiB out takes a quarter of a second, and leaves 90 MiB."""


def prepare_process(settings: ServerSettings) -> None:
    """Raises the limit of open files, lets threads have the interpreter sooner, keeps freed memory, and has garbage
    collected less often."""
    _raise_open_files()
    # Beside a busy event loop the flusher's thread gets the interpreter back this fast (an fsync's p50: 5.8 ms at
    # Python's default of 5 ms, 0.85 ms at 0.5 ms). benchmarks/interpreter.py measures it, and the thresholds below.
    sys.setswitchinterval(settings.thread_switch_interval_ms / 1000)
    _keep_freed_memory()
    # What a server holds lives long, and looking through all of it takes up to half a second: less often, then.
    gc.set_threshold(*GC_THRESHOLDS)


def _raise_open_files() -> None:
    import resource  # exists on Unix only, where the daemon runs

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _keep_freed_memory() -> None:
    """Has glibc keep up to 64 MiB of freed memory rather than give it back after every message.

    Buffers of 1 MiB, made and freed for each message, otherwise cost a page fault for each of their pages: pushing
    data from the page cache took 1.85 s of processor time a GiB, and takes 0.79 (580 and 1,300 MB/s). Another C
    library has no such call and is left as it is.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)


class Idleness:
    """Tells from a process's processor time when it has nothing to do after it had.

    Args:
        used_s: its processor time up to now.
        own_bytes: its own resident memory.
    """

    def __init__(self, used_s: float, own_bytes: int) -> None:
        self._seen_s = used_s
        self._given_back_s = used_s
        self._least_bytes = own_bytes

    def begins(self, used_s: float, since_s: float, own_bytes: int) -> bool:
        """Returns whether it is idle, and has worked or grown since the last time that it was.

        Args:
            used_s: processor time up to now.
            since_s: how long ago that was asked last.
            own_bytes: its own resident memory now.
        """
        is_idle = used_s - self._seen_s < since_s * _IDLE_PART
        self._seen_s = used_s
        self._least_bytes = min(self._least_bytes, own_bytes)
        is_worth_it = used_s - self._given_back_s >= _WORTH_S or own_bytes - self._least_bytes >= _WORTH_BYTES
        if not is_idle or not is_worth_it:
            return False
        self._given_back_s = used_s
        return True

    def gave_back(self, own_bytes: int) -> None:
        """Notes what resident memory is left after some was given back: only what comes on top of it is growth."""
        self._least_bytes = own_bytes


async def give_back_when_idle() -> None:
    """Gives freed memory back whenever there is nothing to do any more, until it is cancelled.

    After a load that is most of what the process has beside what it holds: 64 MiB, which others may have until then.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):
        return
    idleness = Idleness(time.process_time(), _own_bytes())
    while True:
        await asyncio.sleep(_LOOK_S)
        if idleness.begins(time.process_time(), _LOOK_S, _own_bytes()):
            library.malloc_trim(0)
            idleness.gave_back(_own_bytes())


def _own_bytes() -> int:
    """Returns the resident memory that is not of a file; 0 where /proc does not tell."""
    try:
        _, resident, of_files, *_ = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0
    return (int(resident) - int(of_files)) * os.sysconf("SC_PAGE_SIZE")
