"""Apache Kafka's own tools, for tests that let them read our files: from Maven Central, with what is on the machine.

`mvn` fetches the jars once into its own repository; nothing of them is kept here.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

GROUP = "org.apache.kafka"
RELEASE = "4.3.1"
FETCH_SECONDS = 400
RUN_SECONDS = 120

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>classpath</artifactId>
  <version>1</version>
  <dependencies>{dependencies}</dependencies>
</project>
"""
_DEPENDENCY = """
    <dependency>
      <groupId>{group}</groupId>
      <artifactId>{artifact}</artifactId>
      <version>{release}</version>
      <exclusions>
        <!-- A web server and more, that the tools used here have no use for. -->
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId></exclusion>
      </exclusions>
    </dependency>
"""


class KafkaTools:
    """The tools of one release.

    Args:
        classpath: of the jars, as java takes it.
    """

    def __init__(self, classpath: str) -> None:
        self._classpath = classpath

    def dump(self, *options: str, files: Sequence[Path]) -> str:
        """Returns what `kafka-dump-log` prints about files of logs, and what it then complains of.

        Raises:
            AssertionError: it failed.
        """
        names = ",".join(str(file) for file in files)
        done = self.run("org.apache.kafka.tools.DumpLogSegments", *options, "--files", names)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout + done.stderr

    def run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs a tool by the name of its class; returns when it has ended, with what it printed."""
        # Three names for one thing: Java 17 knows the first, 18 the second, some vendors the third.
        encodings = [f"-D{name}=UTF-8" for name in ("file.encoding", "stdout.encoding", "sun.stdout.encoding")]
        done = subprocess.run(
            ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", *encodings, "-cp", self._classpath, program, *arguments],
            capture_output=True,
            encoding="utf-8",
            timeout=RUN_SECONDS,
        )
        complaints = [line for line in done.stderr.splitlines(keepends=True) if not line.startswith("SLF4J: ")]
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, "".join(complaints))


def find(folder: Path, *artifacts: str) -> KafkaTools:
    """Returns the tools; skips the test, with a sentence, where they can't be had.

    Args:
        folder: an empty one, for the files that Maven wants.
        artifacts: of Apache Kafka's, besides kafka-tools.
    """
    wanted = ("kafka-tools", *artifacts)
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"Apache Kafka's tools need {' and '.join(missing)}, and this machine has none")
    dependencies = [_DEPENDENCY.format(group=GROUP, artifact=artifact, release=RELEASE) for artifact in wanted]
    (folder / "pom.xml").write_text(_POM.format(dependencies="".join(dependencies)))
    command = ["mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=classpath"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"Maven did not fetch {' and '.join(wanted)} {RELEASE} in {FETCH_SECONDS} s")
    classpath = folder / "classpath"
    if done.returncode != 0 or not classpath.exists():
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line] or ["no reason given"]
        pytest.skip(f"Maven can't fetch {' and '.join(wanted)} {RELEASE}: {lines[0][:300]}")
    return KafkaTools(classpath.read_text().strip().replace(":", os.pathsep))
