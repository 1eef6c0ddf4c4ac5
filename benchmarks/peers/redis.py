"""Redis from Debian: an installed redis-server, or the package unpacked."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.peers.fetching import fetched, library_path, unpack_debian
from benchmarks.peers.process import Peer, free_port, listens

_SETTINGS: Final = {
    "durable": ("--appendonly", "yes", "--appendfsync", "always"),
    "relaxed": ("--appendonly", "yes", "--appendfsync", "everysec"),
}
ABOUT: Final = "without snapshots; durable: appendonly yes, appendfsync always; relaxed: appendfsync everysec"


def fetch(*, may_fetch: bool = False) -> tuple[str, str]:
    """Returns its program and the path of its libraries.

    Raises:
        CannotHavePeer: it can't be had.
    """
    installed = shutil.which("redis-server")
    if installed:
        return installed, ""
    root = fetched("redis", lambda into: unpack_debian("redis-server", into), may_fetch=may_fetch)
    return str(root / "usr" / "bin" / "redis-server"), library_path(root)


def redis(folder: Path, *, durable: bool) -> Peer:
    """Starts it with every write flushed before it is answered, or with a flush every second."""
    program, libraries = fetch()
    environment = {"LD_LIBRARY_PATH": libraries} if libraries else {}
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, env=environment).stdout
    version = said.partition("v=")[2].split()[0]
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    place = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "")
    how = "durable" if durable else "relaxed"
    command = (program, *place, *_SETTINGS[how])
    name = f"Redis {version}, {'appendfsync always' if durable else 'appendfsync everysec'}"
    settings = {"save": '""', **dict(zip(_SETTINGS[how][::2], _SETTINGS[how][1::2], strict=True))}
    told = {setting.removeprefix("--"): value for setting, value in settings.items()}
    return Peer(name, f"127.0.0.1:{port}", command, folder, lambda: listens(port), environment, told)
