"""python -m tests.fuzz.by_coverage SECONDS TARGET...: runs each target for so long under atheris.

Inputs that reach code which none has reached are mutated further. Each target has a process of its own, which libFuzzer
ends; all are forked from this one, because taking note of which code is reached makes loading that code slow.

Prints a line of JSON for each target: its name, how many executions there were, and the paths of inputs that are
findings.
"""

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import atheris  # type: ignore[import-untyped]

_COVERED = ["logserver", "logserver_segments", "logserver_records"]

# Before anything else has loaded them. It says a line for each module.
with redirect_stderr(StringIO()), atheris.instrument_imports(include=_COVERED):
    from tests.fuzz.findings import CORPUS, Findings, corpus, limited

_MOST_BYTES = 4096
_SHOWN_BYTES = 3000


def _tell(name: str, executions: int, paths: Sequence[Path]) -> None:
    told = {"target": name, "executions": executions, "findings": [str(path) for path in paths]}
    print("\n" + json.dumps(told), flush=True)


def _fuzz(name: str, seconds: float, folder: str) -> None:
    """Fuzzes a target; never returns."""
    findings = Findings(name)
    for number, data in enumerate(corpus(name)):
        Path(folder, str(number)).write_bytes(data)
    ends = time.monotonic() + seconds

    def execute(data: bytes) -> None:
        findings.execute(data)
        if time.monotonic() >= ends:
            _tell(name, findings.executions, findings.paths)
            os._exit(0)

    # Both are limited here, where a finding does not end the process; one that does is kept by libFuzzer.
    limits = ["-timeout=3600", "-rss_limit_mb=0", f"-max_len={_MOST_BYTES}"]
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    with limited():
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={kept}/", "-verbosity=0", folder], execute)
        atheris.Fuzz()


def main(seconds: float, names: Sequence[str]) -> None:
    """Fuzzes targets, one after the other. One whose process dies is a finding; its executions count for nothing."""
    logging.disable(logging.CRITICAL)
    for name in names:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as errors:
            child = os.fork()
            if not child:
                os.dup2(errors.fileno(), sys.stderr.fileno())
                _fuzz(name, seconds, folder)
            _, status = os.waitpid(child, 0)
            if status:
                errors.seek(0)
                said = errors.read()[-_SHOWN_BYTES:].decode(errors="replace")
                print(f"{name}: its process has ended with status {status}\n{said}", flush=True)
                _tell(name, 0, [CORPUS / name])


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
