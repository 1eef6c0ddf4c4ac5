"""`logserver completion`: the script that lets a shell complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

_COMPLETE_VARIABLE = "_LOGSERVER_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands in a shell.

    \b
    bash:  eval "$(logserver completion bash)"                               in ~/.bashrc
    zsh:   eval "$(logserver completion zsh)"                                in ~/.zshrc
    fish:  logserver completion fish > ~/.config/fish/completions/logserver.fish
    """
    shell_class = get_completion_class(shell)
    assert shell_class is not None, "click knows bash, zsh and fish"
    complete = shell_class(ctx.find_root().command, {}, "logserver", _COMPLETE_VARIABLE)
    # Not bash's own source(): that starts a bash to learn its version, and there may be none on this machine.
    click.echo(ShellComplete.source(complete))
