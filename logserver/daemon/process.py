"""What the daemon changes about its process, when the process is its own."""

import asyncio
import contextlib
import ctypes
import gc
import sys
import time
from typing import Final

from logserver.settings import ServerSettings

# glibc's malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_GC_THRESHOLDS: Final = (50_000, 20, 100)
_TRIM_THRESHOLD_BYTES: Final = 64 << 20
_MMAP_THRESHOLD_BYTES: Final = 32 << 20

_LOOK_S: Final = 1.0
_IDLE_PART: Final = 0.05
"""A process that takes less of the processor's time has nothing to do but its housekeeping."""
_WORTH_S: Final = 0.5
"""So much processor time has to have been used since memory was given back last."""


def prepare_process(settings: ServerSettings) -> None:
    """Raises the limit of open files, lets threads have the interpreter sooner, keeps freed memory, and has garbage
    collected less often."""
    _raise_open_files()
    # Beside a busy event loop the flusher's thread gets the interpreter back this fast (an fsync's p50: 5.8 ms at
    # Python's default of 5 ms, 0.85 ms at 0.5 ms).
    sys.setswitchinterval(settings.thread_switch_interval_ms / 1000)
    _keep_freed_memory()
    # What a server holds lives long, and looking through all of it takes up to half a second: less often, then.
    gc.set_threshold(*_GC_THRESHOLDS)


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
    """

    def __init__(self, used_s: float) -> None:
        self._seen_s = used_s
        self._given_back_s = used_s

    def begins(self, used_s: float, since_s: float) -> bool:
        """Returns whether it is idle, and has worked since the last time that it was.

        Args:
            used_s: processor time up to now.
            since_s: how long ago that was asked last.
        """
        is_idle = used_s - self._seen_s < since_s * _IDLE_PART
        self._seen_s = used_s
        if not is_idle or used_s - self._given_back_s < _WORTH_S:
            return False
        self._given_back_s = used_s
        return True


async def give_back_when_idle() -> None:
    """Gives freed memory back whenever there is nothing to do any more, until it is cancelled.

    After a load that is most of what the process has beside what it holds: 64 MiB, which others may have until then.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):
        return
    idleness = Idleness(time.process_time())
    while True:
        await asyncio.sleep(_LOOK_S)
        if idleness.begins(time.process_time(), _LOOK_S):
            library.malloc_trim(0)
