"""A real server inside a test: `with LogServer() as server: ...`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logserver.faults import Fault
    from logserver.testing.clock import VirtualClock
    from logserver.testing.embedded import LogServer

__all__ = ["Fault", "LogServer", "VirtualClock"]


def __getattr__(name: str) -> Any:
    # Lazy: pytest imports the plugin's package in every run, also where nobody uses it.
    if name in __all__:
        from logserver.testing import embedded

        return getattr(embedded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
