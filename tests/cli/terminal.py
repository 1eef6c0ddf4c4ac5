"""What a command shows on a terminal."""

import os
import pty
import subprocess
import sys


def shown(*arguments: object) -> str:
    """Runs a command that has to succeed, its standard error on a terminal; returns what is seen there."""
    here, there = pty.openpty()
    command = [sys.executable, "-m", "logserver", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=there) as process:
        os.close(there)
        found = b""
        try:
            while part := os.read(here, 4096):
                found += part
        except OSError:
            # Nobody writes there any more.
            pass
        os.close(here)
        assert process.wait(60) == 0
    return found.decode()
