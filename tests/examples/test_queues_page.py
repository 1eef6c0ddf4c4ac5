"""The commands, programs and tests of the page about queues run, one after another, as a reader goes through it."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from logserver.cli import main
from logserver.testing import LogServer

from .programs import ROOT, TIMEOUT_S

ADDRESS = "127.0.0.1:50051"


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block."""
    text = (ROOT / "docs" / "queues.md").read_text()
    return re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_until_it_works(program: str, folder: Path) -> None:
    """Runs a program that goes on for ever until it has printed something; a worker then ends as it should."""
    with subprocess.Popen([sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_S) == (0 if "Worker(" in program else -signal.SIGTERM)
        finally:
            process.kill()


def test_the_page_about_queues_can_be_followed(tmp_path: Path) -> None:
    tests = 0
    with LogServer() as server:
        for language, text in blocks():
            program = text.replace(ADDRESS, server.grpc)
            if language == "sh":
                for line in text.splitlines():
                    result = CliRunner(env={"LOGSERVER_SERVER": server.grpc}).invoke(main, shlex.split(line)[1:])
                    assert result.exit_code == 0, line + result.output
            elif "def test_" in text:
                tests += 1
                (tmp_path / "test_page.py").write_text(program)
                options = ["-q", "--rootdir", str(tmp_path), "-p", "no:cacheprovider", "."]
                run([sys.executable, "-m", "pytest", *options], tmp_path)
            elif "Worker(" in text or ("in queue.consume(" in text and "break" not in text):
                run_until_it_works(program, tmp_path)
            else:
                run([sys.executable, "-c", program], tmp_path)
    assert tests == 1
