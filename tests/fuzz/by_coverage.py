"""python -m tests.fuzz.by_coverage TARGET SECONDS: runs a target under atheris, in this process, which ends with it.

Inputs that reach code which none has reached are mutated further. At the end it prints a line with JSON: how many
executions there were, and the paths of the inputs that are findings.
"""

import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import atheris  # type: ignore[import-untyped]

# Before anything else has loaded them: what is loaded here tells which code is reached.
with atheris.instrument_imports(include=["logserver", "logserver_segments", "logserver_records"]):
    from tests.fuzz.findings import CORPUS, Findings, corpus, limited

_MOST_BYTES = 4096


def main(name: str, seconds: float) -> None:
    """Fuzzes a target."""
    logging.disable(logging.CRITICAL)
    findings, ends = Findings(name), time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder, limited():
        for number, data in enumerate(corpus(name)):
            Path(folder, str(number)).write_bytes(data)

        def execute(data: bytes) -> None:
            findings.execute(data)
            if time.monotonic() >= ends:
                # libFuzzer ends its process, and runs nothing of ours then.
                paths = [str(path) for path in findings.paths]
                print("\n" + json.dumps({"executions": findings.executions, "findings": paths}), flush=True)
                os._exit(0)

        # Both are limited here, where a finding does not end the process; one that does is kept by libFuzzer.
        limits = ["-timeout=3600", "-rss_limit_mb=0"]
        kept = CORPUS / name
        kept.mkdir(parents=True, exist_ok=True)
        arguments = [
            sys.argv[0],
            f"-max_len={_MOST_BYTES}",
            *limits,
            f"-artifact_prefix={kept}/",
            "-verbosity=0",
            folder,
        ]
        atheris.Setup(arguments, execute)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
