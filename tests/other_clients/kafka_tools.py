"""Apache Kafka's own command line tools, from Maven Central."""

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from .java_program import ANSWER_SECONDS, JAVA, JavaProgram
from .missing import KAFKA_TOOLS

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
            [*JAVA, *encodings, class_of(program), *arguments],
            capture_output=True,
            encoding="utf-8",
            timeout=ANSWER_SECONDS,
        )
        return Done(done.returncode, done.stdout, _without_complaints(done.stderr))

    def start(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        """Starts a tool by its class; returns while it runs, with its standard output to be read."""
        command = [*JAVA, class_of(program), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8")


class KafkaShell(JavaProgram):
    """The tools in one process for all of them: after its start a tool takes a fraction of a second.

    A context manager. The process is `ToolRunner.java`, which says what goes over its pipes. A tool that ends the JVM
    itself, or has it run something at its end, needs one of its own: `KafkaTools`.
    """

    def __init__(self) -> None:
        super().__init__("ToolRunner")

    def run(self, program: str, *arguments: str, stdin: str = "") -> Done:
        """Runs a tool by its class; returns when it has ended.

        Args:
            stdin: what it finds in its standard input.
        """
        words = [class_of(program), *arguments]
        request = [_INT.pack(len(words))]
        for text in (*words, stdin):
            encoded = text.encode()
            request += [_INT.pack(len(encoded)), encoded]
        with self._asked(b"".join(request)) as answer:
            (status,) = _INT.unpack(self._read(answer, _INT.size))
            output, errors = (
                self._read(answer, *_INT.unpack(self._read(answer, _INT.size))).decode() for _ in range(2)
            )
        return Done(status, output, _without_complaints(errors))

    def _read(self, pipe: IO[bytes], count: int) -> bytes:
        found = pipe.read(count)
        if len(found) < count:
            raise self._over()
        return found
