"""Apache Kafka's jars from Maven Central, kept in a folder of their own."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

RELEASE: Final = "4.3.1"
_FETCH_SECONDS: Final = 500

_POM: Final = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>classpath</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{RELEASE}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>{RELEASE}</version>
      <exclusions>
        <!-- A web server and more, that nothing here has use for. -->
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <!-- Without it the broker logs nothing, not even why it does not start. -->
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.4</version>
    </dependency>
  </dependencies>
</project>
"""


class CannotHaveKafka(Exception):
    """Apache Kafka can't be run here; the message says why, in a sentence."""


def jars(cache: Path) -> Path:
    """Returns the folder with the jars of the release; fetches them if they are not there yet.

    Args:
        cache: a folder that may be there or not.

    Raises:
        CannotHaveKafka: java or mvn are missing, or Maven can't fetch.
    """
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        raise CannotHaveKafka(f"Apache Kafka needs {' and '.join(missing)}, and this machine has none")
    folder = cache / f"kafka-{RELEASE}"
    if folder.is_dir():
        return folder
    # What an interrupted run has left is not taken for the whole.
    partial = cache / f"kafka-{RELEASE}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "pom.xml").write_text(_POM)
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=."]
    try:
        done = subprocess.run(command, cwd=partial, capture_output=True, text=True, timeout=_FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        raise CannotHaveKafka(f"Maven did not fetch Apache Kafka {RELEASE} in {_FETCH_SECONDS} s") from None
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line] or ["no reason given"]
        raise CannotHaveKafka(f"Maven can't fetch Apache Kafka {RELEASE}: {lines[0][:300]}")
    partial.rename(folder)
    return folder
