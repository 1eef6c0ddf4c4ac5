"""Options that all benchmarks take."""

import argparse
import contextlib
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


def parser(description: str | None) -> argparse.ArgumentParser:
    """Returns a parser of the common options, to be given those of one benchmark."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.add_argument("--quick", action="store_true", help="smaller and fewer runs: whether it works, not how fast")
    place = _on_disk()
    made.add_argument("--directory", type=Path, default=place, help=f"where data is kept while it runs ({place})")
    return made


def whole_numbers(text: str) -> list[int]:
    """Reads numbers with commas between them."""
    return [int(part) for part in text.split(",")]


def name_and_value(text: str) -> tuple[str, str]:
    """Reads K=V."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form K=V")
    return name, value


@contextlib.contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """Makes a directory of our own in the given one, and removes it with all that was put there.

    Also when the process is asked to end meanwhile: what was started inside must not outlive it.
    """
    signal.signal(signal.SIGTERM, _leave)
    with tempfile.TemporaryDirectory(prefix="logserver-benchmark-", dir=directory, ignore_cleanup_errors=True) as path:
        yield Path(path)


def _leave(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _on_disk() -> Path:
    """Returns a place for temporary files that is by custom not in memory."""
    found = Path("/var/tmp")
    return found if found.is_dir() else Path(tempfile.gettempdir())
