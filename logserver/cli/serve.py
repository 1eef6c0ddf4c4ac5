"""`logserver serve`: the server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from logserver.cli.failures import CommandFailed, sentence
from logserver.cli.settings import CONFIG_OPTION, SET_OPTION, load_or_fail

_SHORT_FOR = {
    "data_dir": "log.dirs",
    "grpc_listen": "grpc.listeners",
    "kafka_listen": "listeners",
    "log_level": "log.level",
    "log_format": "log.format",
}


@contextmanager
def without_hypothesis() -> Iterator[None]:
    """Has modules that are imported inside believe that hypothesis is not installed.

    kio offers its types as strategies where it is: a quarter of the processor time of a start, for a server that tests
    nothing. Afterwards it can be imported as ever.
    """
    name = "hypothesis"
    is_hidden = name not in sys.modules
    if is_hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if is_hidden:
            del sys.modules[name]


@click.command()
@click.option(
    "--data-dir",
    metavar="DIR",
    multiple=True,
    help="Directory for all data (log.dirs); give it several times, or with commas, for several disks.  "
    "[default: ./logserver-data]",
)
@click.option(
    "--grpc-listen",
    metavar="HOST:PORT",
    help="Where the gRPC door listens (grpc.listeners); port 0 picks a free one.  [default: 127.0.0.1:50051]",
)
@click.option(
    "--kafka-listen",
    metavar="HOST:PORT|off",
    help="Where the door for Kafka clients listens (listeners); port 0 picks a free one.  [default: 127.0.0.1:9092]",
)
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.  [default: info]")
@click.option("--log-format", metavar="FORMAT", help="text or json.  [default: text]")
@CONFIG_OPTION
@SET_OPTION
def serve(config: Path | None, overrides: dict[str, str], data_dir: tuple[str, ...], **flags: str | None) -> None:
    """Run the server until SIGTERM or SIGINT.

    Once every door answers, standard output gets one line that starts with `ready` and names them, such as
    `ready grpc=127.0.0.1:50051 kafka=127.0.0.1:9092`; log lines go to standard error. Settings come from --config,
    then LOGSERVER_* variables, then this command line; `logserver settings` prints them all.
    """
    if sys.platform != "linux":
        raise CommandFailed("The server needs Linux; on this system the client and the other commands work.")
    flags["data_dir"] = ",".join(data_dir) or None
    given = {_SHORT_FOR[flag]: text for flag, text in flags.items() if text is not None}
    settings = load_or_fail(config, overrides | given)

    with without_hypothesis():
        from logserver.daemon import StartError
        from logserver.daemon import serve as run
    from logserver.log_output import configure_log_output

    configure_log_output(settings.log_level, settings.log_format)
    try:
        run(settings)
    except StartError as error:
        raise CommandFailed(sentence(str(error))) from error
