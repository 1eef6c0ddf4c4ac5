"""Ending connections of this process, as a network that fails does: nobody is asked, and nobody is told why."""

import os
import socket
import stat
from collections.abc import Container
from typing import Final

_DESCRIPTORS: Final = "/proc/self/fd"


def drop_accepted(ports: Container[int]) -> int:
    """Ends all TCP connections that listeners of this process have accepted; returns how many there were.

    They are found among the process's open files, because gRPC does not tell about its own.

    Args:
        ports: of the listeners.
    """
    dropped = 0
    for name in os.listdir(_DESCRIPTORS):
        try:
            # Of sockets only: with the copy of a file, the locks end that this process has on it (fcntl, SQLite).
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            # A copy: the number itself may be another file's in the next moment.
            copy = os.dup(int(name))
        except OSError:
            continue
        try:
            found = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            continue
        with found:
            dropped += _drop(found, ports)
    return dropped


def _drop(found: socket.socket, ports: Container[int]) -> bool:
    if found.family not in (socket.AF_INET, socket.AF_INET6) or found.type != socket.SOCK_STREAM:
        return False
    if found.getsockname()[1] not in ports or found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    try:
        found.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other side was quicker.
        return False
    return True
