"""What the daemon tells of itself."""

from collections.abc import Sequence

from logserver_segments.data_directory import DataDirectory

import logserver
from logserver.broker.storage_errors import domain_error
from logserver.grpc_api.admin_service import DirectoryStatus, ServerStatus
from logserver.settings import Address


def rss_anon_bytes() -> int:
    """Returns this process's anonymous resident memory in bytes, 0 where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0


def server_status(
    directory: DataDirectory,
    start_time_ms: int,
    doors: Sequence[tuple[str, Address]],
    advertised: Sequence[tuple[str, Address]],
) -> ServerStatus:
    """Returns the state of this server."""
    free = total = 0
    error = None
    try:
        free, total = directory.space()
    except OSError as failure:
        error = domain_error(failure)
    return ServerStatus(
        version=logserver.__version__,
        start_time_ms=start_time_ms,
        doors=[(name, str(address)) for name, address in doors],
        advertised=[(name, str(address)) for name, address in advertised],
        directories=[DirectoryStatus(directory.path, directory.size_bytes(), total, free, error)],
        rss_anon_bytes=rss_anon_bytes(),
    )
