"""The log server and the bare server, and for each client a process that talks to its own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.bare.protocol import Terms
from benchmarks.support.processes import Server, Worker, bare_server, log_server
from benchmarks.support.topics import Topics

_TIMEOUT_S: Final = 600
_BARE: Final = "bare"


@dataclass(slots=True)
class Peers:
    """The servers, and a process for each client."""

    log_server: Server
    bare_server: Server
    topics: Topics
    workers: dict[str, Worker]

    def bundled(self, worker: str, kind: str, **job: Any) -> Any:
        """Has the bundled client do something with the log server."""
        server = {"address": self.log_server.address, "server_pid": self.log_server.pid}
        return self.workers[worker].ask({"kind": kind, **server, **job}, _TIMEOUT_S)

    def bare(self, kind: str, terms: Terms, **job: Any) -> Any:
        """Has the bare client do something with the bare server."""
        server = {"address": self.bare_server.address, "server_pid": self.bare_server.pid}
        return self.workers[_BARE].ask({"kind": kind, "terms": terms._asdict(), **server, **job}, _TIMEOUT_S)


@contextmanager
def started_peers(directory: Path) -> Iterator[Peers]:
    """Starts everything, and ends it when the `with` does."""
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(f"benchmarks.clients.{name}", directory / f"{name}.log"))
            for name in ("sync", "aio", _BARE)
        }
        ours = stack.enter_context(log_server(directory / "data", directory / "server.log"))
        theirs = stack.enter_context(bare_server(directory / "bare", directory / "bare-server.log"))
        topics = stack.enter_context(Topics(ours.address))
        yield Peers(ours, theirs, topics, workers)
