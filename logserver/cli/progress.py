"""Progress of long work, on standard error and only if that is a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

import click


class Progress(Protocol):
    """Takes note of work done."""

    def update(self, amount: int) -> object: ...


class _Nothing:
    def update(self, amount: int) -> None:
        pass


@contextmanager
def progress_bar(label: str, total: int | None, *, prints: bool = False) -> Iterator[Progress]:
    """A bar for `total` units of work; none if the total isn't known or nobody looks.

    With `prints` the work writes to standard output, and there is no bar either if that is the terminal.
    """
    if not total or not sys.stderr.isatty() or (prints and sys.stdout.isatty()):
        yield _Nothing()
        return
    with click.progressbar(length=total, label=label, file=sys.stderr, update_min_steps=max(total // 1000, 1)) as bar:
        yield bar


class FileProgress:
    """Tells a bar over the bytes of several files how far the file being read has got."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._file: BinaryIO | None = None
        self._size_bytes = 0
        self._finished_bytes = 0
        self._shown_bytes = 0

    def note(self, file: BinaryIO | None) -> None:
        """Looks at the file's position; another file than last time means that the last one is done."""
        if file is None:
            return
        if file is not self._file:
            self._finished_bytes += self._size_bytes
            self._file = file
            self._size_bytes = os.fstat(file.fileno()).st_size
        read_bytes = self._finished_bytes + file.tell()
        self._progress.update(read_bytes - self._shown_bytes)
        self._shown_bytes = read_bytes
