"""RabbitMQ from Debian: the package and its Erlang unpacked, run without rights, with a node and a name of its own."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.peers.fetching import fetched, library_path, unpack_debian
from benchmarks.peers.process import CannotHavePeer, Peer, free_port, listens

ABOUT: Final = "Debian's package; durable queues, persistent messages, publisher confirms: flushed before confirmed"
_ERLANG_ROOT: Final = re.compile(r"^(\s*ROOTDIR=)/.*/erlang$", re.MULTILINE)
_STARTED: Final = "Server startup complete"


def fetch(*, may_fetch: bool = False) -> Path:
    """Returns the folder in which Debian's packages are unpacked.

    Raises:
        CannotHavePeer: it can't be had.
    """
    return fetched("rabbitmq", lambda into: unpack_debian("rabbitmq-server", into), may_fetch=may_fetch)


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Peer]:
    """Starts it."""
    root = fetch()
    servers = sorted((root / "usr" / "lib" / "rabbitmq" / "lib").glob("rabbitmq_server-*"))
    if not servers:
        raise CannotHavePeer("Debian's package has no server in it")
    erlang = root / "usr" / "lib" / "erlang" / "bin"
    start = erlang / "erl"
    # Debian's Erlang believes that it is where the package puts it.
    start.write_text(_ERLANG_ROOT.sub(rf"\g<1>{erlang.parent}", start.read_text()))
    names, port = free_port(), free_port()
    environment = _environment(folder, names, port)
    environment["PATH"] = os.pathsep.join((str(erlang), os.environ["PATH"]))
    environment["LD_LIBRARY_PATH"] = library_path(root)
    daemon = (str(erlang.parents[2] / "bin" / "epmd"), "-address", "127.0.0.1", "-port", str(names))
    # Erlang would start its name server itself, and leave it behind.
    with Peer("Erlang's epmd", f"127.0.0.1:{names}", daemon, folder / "epmd", lambda: listens(names), environment):
        server = servers[-1]
        name = server.name.replace("rabbitmq_server-", "RabbitMQ ")
        log = folder / "server.log"
        command = (str(server / "sbin" / "rabbitmq-server"),)
        address = f"127.0.0.1:{port}"

        def ready() -> bool:
            return _STARTED in log.read_text(errors="replace")

        with Peer(name, address, command, folder, ready, environment, {"plugins": "none"}) as it:
            yield it


def _environment(folder: Path, names: int, port: int) -> dict[str, str]:
    """Returns the environment that makes a node of its own, of which nothing is outside of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in (("plugins", "[].\n"), ("rabbit.conf", ""), ("environment.conf", "")):
        (folder / file).write_text(text)
    return {
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names),
        "RABBITMQ_NODENAME": f"benchmark-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbit"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "environment.conf"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        # The script then becomes the server, and does not wait beside it.
        "RUNNING_UNDER_SYSTEMD": "1",
    }
