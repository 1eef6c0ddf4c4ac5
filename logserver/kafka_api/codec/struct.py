"""A message, or a part of one, as its fields."""

from collections.abc import Callable, Mapping
from typing import Any


class Struct:
    """Fields by the names of Kafka's schemas in snake case; times in milliseconds end in `_ms`.

    A field that the version at hand does not have has the default that the versions which have it give it, so a handler
    reads a message of any version in one way.
    """

    __slots__ = ("__dict__", "_absent")

    def __init__(self, fields: Mapping[str, Any], absent: Callable[[str], Any]) -> None:
        self.__dict__ = fields  # type: ignore[assignment]
        self._absent = absent

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._absent(name)

    def __repr__(self) -> str:
        return f"Struct({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Struct) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]
