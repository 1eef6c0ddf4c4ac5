"""A real server inside a test: `with LogServer() as server: ...`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logserver.testing.embedded import LogServer

__all__ = ["LogServer"]


def __getattr__(name: str) -> Any:
    # Lazy: pytest imports the plugin's package in every run, also where nobody uses it.
    if name == "LogServer":
        from logserver.testing.embedded import LogServer

        return LogServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
