"""What the daemon tells of itself."""

from collections.abc import Sequence

import logserver
from logserver.grpc_api.admin_service import ServerStatus
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
    start_time_ms: int,
    doors: Sequence[tuple[str, Address]],
    advertised: Sequence[tuple[str, Address]],
) -> ServerStatus:
    """Returns the state of this server."""
    return ServerStatus(
        version=logserver.__version__,
        start_time_ms=start_time_ms,
        doors=[(name, str(address)) for name, address in doors],
        advertised=[(name, str(address)) for name, address in advertised],
        rss_anon_bytes=rss_anon_bytes(),
    )
