"""Where settings come from, in rising priority: defaults, a TOML file, the environment, the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from logserver.settings.definition import Definition, Value
from logserver.settings.server import SERVER_DEFINITIONS, ServerSettings, Source
from logserver.settings.topic import TOPIC_DEFINITIONS, server_names_of
from logserver.settings.values import SettingsError, parse_value, unknown_setting

ENVIRONMENT_PREFIX: Final = "LOGSERVER_"
NOT_SETTINGS: Final = frozenset({"LOGSERVER_SERVER"})
"""Variables with our prefix that mean something else: the server that client commands talk to."""


def environment_name(name: str) -> str:
    """The environment variable of a setting: LOGSERVER_LOG_SEGMENT_BYTES for log.segment.bytes."""
    return ENVIRONMENT_PREFIX + name.upper().replace(".", "_")


def load_settings(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    command_line: Iterable[tuple[str, str]] = (),
) -> ServerSettings:
    """Reads the server's settings.

    Args:
        file: a TOML file whose top level has dotted names as quoted keys; none if not given.
        environment: variables, of which those that start with LOGSERVER_ count; none if not given.
        command_line: (name, text) in the order they were given; the last of a name wins.

    Raises:
        SettingsError: an unknown name (the nearest is suggested) or a wrong value; says where it stood.
        OSError: the file can't be read.
    """
    values: dict[str, Value] = {}
    sources: dict[str, Source] = {}
    if file is not None:
        for name, raw in _read_toml(file).items():
            values[name] = _parse(name, raw, where=f"{file}: ")
            sources[name] = "file"
    for name, raw in _from_environment(environment or {}).items():
        values[name] = _parse(name, raw, where=f"Environment variable {environment_name(name)}: ")
        sources[name] = "environment"
    for name, raw in command_line:
        values[name] = _parse(name, raw, where="")
        sources[name] = "command line"
    attributes = {SERVER_DEFINITIONS[name].attribute: value for name, value in values.items()}
    return ServerSettings(**attributes, sources=sources)  # type: ignore[arg-type]  # values come from the definitions


def server_definition(name: str) -> Definition:
    """The server setting of that name. Raises SettingsError with the nearest name if there is none."""
    definition = SERVER_DEFINITIONS.get(name)
    if definition is not None:
        return definition
    hint = None
    if name in TOPIC_DEFINITIONS and (server_names := server_names_of(TOPIC_DEFINITIONS[name])):
        hint = f"it is a setting of a topic; the server's default for it is {server_names[0]}."
    raise unknown_setting(name, SERVER_DEFINITIONS, what="a setting of the server", hint=hint)


def _parse(name: str, raw: object, *, where: str) -> Value:
    try:
        return parse_value(server_definition(name), raw)
    except SettingsError as error:
        raise SettingsError(error.name, f"{where}{error.message}") from None


def _read_toml(file: Path) -> dict[str, object]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(file), f"{file} is not a TOML file: {error}") from error
    for name, value in document.items():
        if isinstance(value, dict):
            dotted = ".".join(_first_path(name, value))
            raise SettingsError(name, f'{file}: write dotted names in quotes and at the top level, "{dotted}" = ...')
    return document


def _first_path(name: str, value: object) -> list[str]:
    path = [name]
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        path.append(str(key))
    return path


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    by_variable = {environment_name(name): name for name in SERVER_DEFINITIONS}
    found = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in NOT_SETTINGS:
            continue
        if variable not in by_variable:
            raise unknown_setting(
                variable, [*by_variable, *NOT_SETTINGS], what="the variable of any setting of the server"
            )
        found[by_variable[variable]] = text
    return found
