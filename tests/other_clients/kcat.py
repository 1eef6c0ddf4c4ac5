"""kcat, the command line client on librdkafka, from the system's packages."""

import subprocess
from typing import Final

from .missing import KCAT

_SECONDS: Final = 60


def kcat(server: str, *arguments: str, stdin: str = "") -> str:
    """Runs kcat against a server; returns what it prints.

    Raises:
        AssertionError: it failed.
    """
    KCAT.need()
    # Without -X it would read the settings of whoever runs the tests.
    done = subprocess.run(
        ["kcat", "-F", "/dev/null", "-b", server, *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
