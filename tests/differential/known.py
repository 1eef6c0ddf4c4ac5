"""The differences that docs/compatibility.md explains."""

from typing import Final

from .explained import Explained

KNOWN: Final[tuple[Explained, ...]] = ()
