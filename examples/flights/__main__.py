"""The demonstration from its beginning to its end. Exits with 1 if anything does not hold."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NoReturn

from logserver_client import LogServerError

from .archive import ArchiveError, flights_zip
from .commands import CommandError
from .flights import read_flights
from .killing import kill
from .proof import Proof
from .replaying import replay_from_offset, replay_from_time
from .server import Server, ServerError
from .sharing import SERVER_SETTINGS, share, share_across_restart
from .stage import Stage
from .storing import store
from .team import WorkerError

BUILD: Final = Path("build")
"""Git ignores it. The flights stay there for the next time; the server's data goes."""

FAILURES: Final = (
    ArchiveError,
    CommandError,
    ServerError,
    WorkerError,
    LogServerError,
    TimeoutError,
    subprocess.TimeoutExpired,
)


def main() -> int:
    """Runs all parts; returns the exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    proof = Proof()
    try:
        _run(proof)
    except FAILURES as error:
        proof.check(False, f"{type(error).__name__}: {error}")
    return 0 if proof.close() else 1


def _run(proof: Proof) -> None:
    proof.step("Getting the flights: all that left New York City in 2013")
    path = flights_zip(BUILD / "flights")
    flights = read_flights(path)
    proof.say(f"{len(flights):,} flights in {path}")
    with (
        tempfile.TemporaryDirectory(prefix="demo-", dir=BUILD) as folder,
        Server(Path(folder, "data"), Path(folder, "server.log"), SERVER_SETTINGS) as server,
    ):
        proof.step("Starting the server")
        seconds = server.start()
        proof.say(f"ready after {seconds:.1f} s on {server.address}, data in {folder}")
        stage = Stage(flights, server, proof)
        stored = store(stage)
        kill(stage)
        replay_from_offset(stage, stored)
        replay_from_time(stage)
        share(stage, Path(folder))
        share_across_restart(stage, Path(folder))
        proof.step("Stopping the server with SIGTERM")
        proof.check(server.stop() == 0, "the server ended cleanly")
        proof.say(f"removing {folder}")


def _terminated(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
