"""`logserver settings`: every setting with its meaning, default and value."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from logserver.cli.failures import CommandFailed, talking_to
from logserver.cli.options import address, json_option, pairs_option
from logserver.cli.output import print_json

if TYPE_CHECKING:
    from logserver.settings import ServerSettings, SettingRow

CONFIG_OPTION: Final = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="TOML file with settings, as `logserver settings` prints it.",
)
SET_OPTION: Final = pairs_option("--set", "overrides", help="One setting; repeatable. Goes before all other sources.")


@click.command()
@CONFIG_OPTION
@SET_OPTION
@click.option(
    "--server", metavar="HOST:PORT", callback=address, help="Ask this server for the values in force there instead."
)
@json_option("Print one JSON array.")
def settings(config: Path | None, overrides: dict[str, str], server: str | None, as_json: bool) -> None:
    """Print every setting of the server as a TOML file.

    It says each setting's meaning, type and default, and `logserver serve --config FILE` accepts it. The values are
    those that `logserver serve` would work with here: defaults, overridden by --config, by LOGSERVER_* variables
    and by --set, in this order.
    """
    if server is not None:
        if config is not None or overrides:
            raise click.UsageError(
                "--server shows what is in force there; it can't be combined with --config or --set."
            )
        _print_running(server, as_json)
        return
    from logserver.settings import server_setting_rows
    from logserver.settings.dump import dump_toml

    loaded = load_or_fail(config, overrides)
    if as_json:
        print_json(_documents(server_setting_rows(loaded)))
    else:
        click.echo(dump_toml(loaded), nl=False)


def load_or_fail(config: Path | None, overrides: dict[str, str]) -> ServerSettings:
    """Reads the settings from file, environment and command line; a wrong one is a usage error that names it."""
    from logserver.settings import SettingsError, load_settings

    try:
        return load_settings(file=config, environment=os.environ, command_line=overrides.items())
    except SettingsError as error:
        raise click.UsageError(error.message) from error
    except OSError as error:
        raise CommandFailed(f"{config} can't be read: {error.strerror or error}.") from error


def _print_running(server: str, as_json: bool) -> None:
    from logserver_client import AdminClient

    with talking_to(server), AdminClient(server) as admin:
        rows: Any = admin.settings()
    if as_json:
        print_json(_documents(rows))
        return
    click.echo(f"# Settings in force on {server}.")
    for row in rows:
        click.echo(f"\n# {row.documentation}\n# Default: {row.default_value or 'empty'}. From: {row.source}.")
        click.echo(f'"{row.name}" = {_toml(row.name, row.value)}' if row.value else f'# "{row.name}" is not set.')


def _documents(rows: Iterable[SettingRow]) -> list[dict[str, Any]]:
    return [
        {
            "name": row.name,
            "value": _typed(row.name, row.value),
            "default": _typed(row.name, row.default_value),
            "source": row.source,
            "documentation": row.documentation,
        }
        for row in rows
    ]


def _typed(name: str, text: str) -> Any:
    """The value behind a text; the text itself for a setting that this version doesn't know."""
    from logserver.settings import SERVER_DEFINITIONS, SettingsError, parse_value

    if name not in SERVER_DEFINITIONS:
        return text
    try:
        return parse_value(SERVER_DEFINITIONS[name], text)
    except SettingsError:
        # Another version's bounds.
        return text


def _toml(name: str, text: str) -> str:
    from logserver.settings.dump import toml_value

    return toml_value(_typed(name, text))
