"""Java programs of the tests, each a file in the folder `kafka`, with Apache Kafka's classes around it."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import IO, Final, Self

from .missing import JARS, KAFKA_TOOLS

ANSWER_SECONDS: Final = 120
JAVA: Final = ("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JARS}/*")

_FOLDER: Final = Path(__file__).with_name("kafka")


class JavaProgram:
    """A program that is asked over its standard input, and answers over its standard output.

    A context manager; leaves the test out where Apache Kafka's classes are missing.

    Args:
        name: of its class and file.
    """

    def __init__(self, name: str) -> None:
        KAFKA_TOOLS.need()
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [*JAVA, str(_FOLDER / f"{name}.java")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    @contextmanager
    def _asked(self, request: bytes) -> Iterator[IO[bytes]]:
        """Asks it; gives where its answer comes, and ends the program if that takes too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = Timer(ANSWER_SECONDS, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
            yield self._process.stdout
        finally:
            timer.cancel()

    def _over(self) -> RuntimeError:
        """Returns what to raise where an answer ends too early."""
        self._said.seek(0)
        return RuntimeError(f"the Java program has ended, or took too long: {self._said.read()[-2000:]}")
