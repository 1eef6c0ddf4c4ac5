"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

DEFAULT_SERVER: Final = "127.0.0.1:50051"
"""Where `logserver serve` listens unless told otherwise."""

Function = TypeVar("Function", bound=Callable[..., Any])


def address(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """click's callback for the address of a server."""
    from logserver.settings.addresses import check_advertised

    if value is None:
        return None
    try:
        check_advertised(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not HOST:PORT: {error}.") from None
    return value


def server_option(function: Function) -> Function:
    """--server HOST:PORT, or LOGSERVER_SERVER."""
    return click.option(
        "--server",
        metavar="HOST:PORT",
        default=DEFAULT_SERVER,
        envvar="LOGSERVER_SERVER",
        show_default=True,
        show_envvar=True,
        callback=address,
        help="The server's gRPC door.",
    )(function)


def directory_name(value: str) -> str:
    """Returns the path of a directory, which may not be there yet, without slashes at its end.

    Raises:
        click.BadParameter: it is empty.
    """
    if not value:
        raise click.BadParameter("it is empty, and would be the root of the file system.")
    return value.rstrip("/") or "/"


def json_option(help: str = "Print one JSON document.") -> Callable[[Function], Function]:
    """--json, for scripts."""
    return click.option("--json", "as_json", is_flag=True, help=help)


def partition_option(help: str) -> Callable[[Function], Function]:
    """--partition P, from 0."""
    return click.option("--partition", type=click.IntRange(0, 2**31 - 1), metavar="P", help=help)


def _pairs(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE.")
        pairs[name.strip()] = text
    return pairs


def pairs_option(*names: str, help: str) -> Callable[[Function], Function]:
    """A repeatable NAME=VALUE option; gives a dict, in which the last value of a name wins."""
    return click.option(*names, multiple=True, metavar="NAME=VALUE", callback=_pairs, help=help)
