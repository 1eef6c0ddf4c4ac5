"""Apache Kafka's own command line tools, from Maven Central."""

import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import IO, Final, Self

from .missing import JARS, KAFKA_TOOLS

_RUN_SECONDS: Final = 120
_JAVA: Final = ("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JARS}/*")
_RUNNER: Final = Path(__file__).with_name("kafka") / "ToolRunner.java"
_INT: Final = struct.Struct(">i")


@dataclass(frozen=True)
class Done:
    """What came of a tool."""

    status: int
    output: str
    errors: str

    @property
    def printed(self) -> str:
        """Both."""
        return self.output + self.errors


def _without_complaints(errors: str) -> str:
    """Returns it without what says that there is no logger."""
    return "".join(line for line in errors.splitlines(keepends=True) if not line.startswith("SLF4J: "))


def class_of(program: str) -> str:
    """Returns the class of a tool, whose name can begin after `org.apache.kafka.tools.`."""
    return program if program.startswith(("org.", "kafka.")) else f"org.apache.kafka.tools.{program}"


class KafkaTools:
    """The tools, each run in a process of its own."""

    def __init__(self) -> None:
        KAFKA_TOOLS.need()

    def dump(self, *options: str, files: Sequence[Path]) -> str:
        """Returns what `kafka-dump-log` prints about files of logs, and what it then complains of.

        Raises:
            AssertionError: it failed.
        """
        names = ",".join(str(file) for file in files)
        done = self.run("DumpLogSegments", *options, "--files", names)
        assert done.status == 0, done.printed[-4000:]
        return done.printed

    def run(self, program: str, *arguments: str) -> Done:
        """Runs a tool by its class; returns when it has ended."""
        # Three names for one thing: Java 17 knows the first, 18 the second, some vendors the third.
        encodings = [f"-D{name}=UTF-8" for name in ("file.encoding", "stdout.encoding", "sun.stdout.encoding")]
        done = subprocess.run(
            [*_JAVA, *encodings, class_of(program), *arguments],
            capture_output=True,
            encoding="utf-8",
            timeout=_RUN_SECONDS,
        )
        return Done(done.returncode, done.stdout, _without_complaints(done.stderr))

    def start(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        """Starts a tool by its class; returns while it runs, with its standard output to be read."""
        command = [*_JAVA, class_of(program), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8")


class KafkaShell:
    """The tools in one process for all of them: after its start a tool takes a fraction of a second.

    A context manager. The process is `ToolRunner.java`, which says what goes over its pipes. A tool that ends the JVM
    itself, or has it run something at its end, needs one of its own: `KafkaTools`.
    """

    def __init__(self) -> None:
        KAFKA_TOOLS.need()
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [*_JAVA, str(_RUNNER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def run(self, program: str, *arguments: str, stdin: str = "") -> Done:
        """Runs a tool by its class; returns when it has ended.

        Args:
            stdin: what it finds in its standard input.
        """
        words = [class_of(program), *arguments]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = [_INT.pack(len(words))]
        for text in (*words, stdin):
            encoded = text.encode()
            request += [_INT.pack(len(encoded)), encoded]
        timer = Timer(_RUN_SECONDS, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(b"".join(request))
            self._process.stdin.flush()
            (status,) = _INT.unpack(self._read(self._process.stdout, _INT.size))
            output, errors = (
                self._read(self._process.stdout, *_INT.unpack(self._read(self._process.stdout, _INT.size))).decode()
                for _ in range(2)
            )
        finally:
            timer.cancel()
        return Done(status, output, _without_complaints(errors))

    def _read(self, pipe: IO[bytes], count: int) -> bytes:
        found = pipe.read(count)
        if len(found) < count:
            self._said.seek(0)
            raise RuntimeError(f"the process of the tools has ended, or took too long: {self._said.read()[-2000:]}")
        return found
