"""How many files may be open and mapped at a time, from the settings or derived from the system's own limits."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from logserver.settings.server import ServerSettings

MAX_MAP_COUNT_FILE: Final = Path("/proc/sys/vm/max_map_count")
USUAL_MAX_MAP_COUNT: Final = 65_530
"""Linux's default, taken where the limit can't be read."""
USUAL_OPEN_FILES: Final = 1_024
DERIVED_MAXIMUM: Final = 100_000
"""A process allowed a billion files (as containers often are) still keeps no more than this."""


class FileLimits(NamedTuple):
    """Most files open and most files mapped at a time."""

    open_files: int
    mapped_files: int


def file_limits(settings: ServerSettings, *, open_files: int, map_count: int) -> FileLimits:
    """The limits in force: log.open.files.max and log.mapped.files.max where set, otherwise derived.

    Half of the process's open files stay for connections; the other half is for files and for mappings, because Python
    keeps a descriptor for each mapping. A third of the system's mappings goes to files: the rest is
    for libraries, allocators and thread stacks, and a mapping that is unmapped in part counts twice for a while.

    Args:
        open_files: the process's limit of open files, as `system_open_files` tells it.
        map_count: the system's limit of mappings per process, as `system_map_count` tells it.
    """
    derived_open = min(max(open_files // 4, 64), DERIVED_MAXIMUM)
    most_open = settings.log_open_files_max or derived_open
    derived_mapped = min(max(map_count // 3, 64), most_open, derived_open)
    return FileLimits(most_open, settings.log_mapped_files_max or derived_mapped)


def system_open_files() -> int:
    """The process's soft limit of open files (ulimit -n)."""
    try:
        import resource  # exists on Unix only, and this package is imported everywhere
    except ImportError:
        return USUAL_OPEN_FILES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DERIVED_MAXIMUM * 2 if soft == resource.RLIM_INFINITY else soft


def system_map_count() -> int:
    """The system's limit of memory mappings per process (vm.max_map_count)."""
    try:
        return int(MAX_MAP_COUNT_FILE.read_text())
    except (OSError, ValueError):
        return USUAL_MAX_MAP_COUNT
