"""What goes wrong with a disk on demand."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Final

ANY: Final = "*"


@dataclass
class Fault:
    """An error to raise instead of an operation.

    `operation` is the name of a method of the disk or file (a file made by `open` is "create"), or "*" for all of them;
    `path` a pattern.
    `after` operations pass first; then `times` fail (None: all).
    """

    operation: str
    path: str
    error: int = errno.EIO
    after: int = 0
    times: int | None = 1
    met: int = field(default=0, init=False)


class PowerCut(BaseException):
    """The power went in front of what was to be done; nothing gets to the disk until `crash` or `kill`."""


class Faults:
    """The faults of a disk, and the moment at which its power goes."""

    def __init__(self) -> None:
        self.all: list[Fault] = []
        self.told: list[int] = []
        """The numbers of the errors that programs were told so far, the last one last."""
        # How many operations go on until the power goes in front of one.
        self.operations_left: int | None = None
        self.power_went: Callable[[], None] = lambda: None

    def meet(self, operation: str, path: str) -> None:
        """Called in front of each operation.

        Raises:
            OSError: a fault says so.
            PowerCut: the power goes, or has gone.
        """
        if self.operations_left is not None:
            if self.operations_left <= 0:
                self.power_went()
                raise PowerCut
            self.operations_left -= 1
        for fault in self.all:
            if fault.operation in (operation, ANY) and fnmatch(path, fault.path):
                fault.met += 1
                over = fault.times is not None and fault.met > fault.after + fault.times
                if fault.met > fault.after and not over:
                    raise self.tell(fault.error, path)

    def tell(self, error: int, path: str) -> OSError:
        """Returns an error to raise, and remembers it."""
        self.told.append(error)
        return OSError(error, os.strerror(error), path)
