"""Where `produce` reads from: files, compressed files, archives, standard input."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from logserver.cli.failures import CommandFailed

STANDARD_INPUT: Final = "-"
_BUFFER_BYTES: Final = 256 * 1024


class Source(NamedTuple):
    """One stream of records: its name for messages, and the file whose position tells how much has been read."""

    name: str
    stream: BinaryIO
    file: BinaryIO | None


def sources(names: Sequence[str]) -> Iterator[Source]:
    """Opens one after the other; an archive gives its member files in order, no name at all is standard input.

    Raises CommandFailed for files that can't be read or aren't what their suffix says.
    """
    for name in names or (STANDARD_INPUT,):
        if name == STANDARD_INPUT:
            yield Source("standard input", sys.stdin.buffer, None)
            continue
        with readable(name), open(name, "rb", buffering=_BUFFER_BYTES) as file:
            suffix = Path(name).suffix.lower()
            if suffix == ".zip":
                yield from _members(name, file)
            elif suffix == ".gz":
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield Source(name, _buffered(unpacked), file)
            else:
                yield Source(name, file, file)


def total_bytes(names: Sequence[str]) -> int | None:
    """Bytes of all files as they lie on disk (packed, where they are packed); None with standard input among them."""
    if not names or STANDARD_INPUT in names:
        return None
    return sum(Path(name).stat().st_size for name in names)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turns what reading a file may raise into a failed command that names the file."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CommandFailed(f"{name} can't be unpacked: {error}.") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandFailed(f"{name} can't be read: {error.strerror or error}.") from error


def _members(name: str, file: BinaryIO) -> Iterator[Source]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            if member.flag_bits & 1:
                raise CommandFailed(f"{name}: {member.filename} is encrypted.")
            with archive.open(member) as unpacked:
                yield Source(f"{name}: {member.filename}", _buffered(unpacked), file)


def _buffered(unpacked: object) -> BinaryIO:
    # Python's unpacking streams read lines in Python; a buffer over them does it in C.
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, unpacked), _BUFFER_BYTES))
