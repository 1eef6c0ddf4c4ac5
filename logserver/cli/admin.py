"""The admin client as commands use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from logserver.cli.failures import talking_to

if TYPE_CHECKING:
    from logserver_client import AdminClient


@contextmanager
def admin_of(server: str) -> Iterator[AdminClient]:
    """An admin client; what it raises becomes a failed command as `talking_to` says."""
    from logserver_client import AdminClient

    with talking_to(server), AdminClient(server) as admin:
        yield admin
