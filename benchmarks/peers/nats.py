"""NATS with JetStream: an installed nats-server, its Go module built, or Debian's package unpacked."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.peers.fetching import build_go, fetched, unpack_debian
from benchmarks.peers.process import CannotHavePeer, Peer, free_port, listens

_MODULE: Final = "github.com/nats-io/nats-server/v2@v2.15.2"
_SERVER: Final = {"max_payload": "8MB", "max_pending": "256MB"}
_STREAM: Final = {"max_memory_store": "1GB", "max_file_store": "20GB"}
ABOUT: Final = (
    "JetStream with file storage; durable: sync_interval always; relaxed: its default, a flush in two minutes"
)


def fetch(*, may_fetch: bool = False) -> str:
    """Returns its program: the newer one that Go can build, or else Debian's.

    Raises:
        CannotHavePeer: neither can be had.
    """
    try:
        return str(fetched("nats", lambda into: build_go(_MODULE, into), may_fetch=may_fetch) / "nats-server")
    except CannotHavePeer as error:
        installed = shutil.which("nats-server")
        if installed:
            return installed
        try:
            root = fetched("nats-debian", lambda into: unpack_debian("nats-server", into), may_fetch=may_fetch)
        except CannotHavePeer as other:
            raise CannotHavePeer(f"Go: {error}; Debian: {other}") from other
        return str(root / "usr" / "sbin" / "nats-server")


def nats(folder: Path, *, durable: bool) -> Peer:
    """Starts it with every write flushed before it is answered, or with its default."""
    program, port = fetch(), free_port()
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = said.split()[-1].lstrip("v")
    folder.mkdir(parents=True, exist_ok=True)
    stream = {**_STREAM, "sync_interval": "always"} if durable else _STREAM
    settings = folder / "nats.conf"
    settings.write_text(
        f'listen: "127.0.0.1:{port}"\n{_lines(_SERVER)}'
        f'jetstream {{\nstore_dir: "{folder / "data"}"\n{_lines(stream)}}}\n'
    )
    name = f"NATS JetStream {version}, {'sync always' if durable else 'sync 2 min'}"
    command = (program, "-c", str(settings))
    return Peer(name, f"127.0.0.1:{port}", command, folder, lambda: listens(port), settings={**_SERVER, **stream})


def _lines(settings: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in settings.items())
