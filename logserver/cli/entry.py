"""The root of the commands, and what becomes of their ends: exit codes 0, 1 failed, 2 usage, 130 interrupted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from logserver import __version__
from logserver.cli.completion import completion
from logserver.cli.consume import consume
from logserver.cli.crash_test import crash_test
from logserver.cli.dump import dump
from logserver.cli.failures import INTERRUPTED, silence_standard_output
from logserver.cli.groups import groups
from logserver.cli.import_kafka import import_kafka
from logserver.cli.produce import produce
from logserver.cli.queues import queues
from logserver.cli.replay import replay
from logserver.cli.serve import serve
from logserver.cli.settings import settings
from logserver.cli.status import status
from logserver.cli.topics import topics
from logserver.cli.transactions import transactions
from logserver.cli.verify import verify


class RootGroup(click.Group):
    """A click group whose exit codes are ours: click itself gives 1 to an interrupt."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        try:
            # Without standalone mode click returns the code of ctx.exit(); commands themselves return nothing.
            code = super().main(args, prog_name, complete_var, False, **extra) or 0
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except click.Abort:
            code = INTERRUPTED
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of our output has what it wants (`| head`).
            silence_standard_output()
            ctx.exit(0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=RootGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="logserver %(version)s")
def main() -> None:
    """A durable log server: topics, partitions and replay over gRPC.

    \b
    Start a server, and use it from another terminal:
      logserver serve
      logserver topics create greetings --partitions 3
      echo hello | logserver produce greetings
      logserver replay greetings --from earliest
    """


for command in (
    serve,
    topics,
    produce,
    consume,
    replay,
    groups,
    transactions,
    queues,
    status,
    settings,
    verify,
    dump,
    import_kafka,
    crash_test,
    completion,
):
    main.add_command(command)
