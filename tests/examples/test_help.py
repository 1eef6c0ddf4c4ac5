"""What holds for each example, and for the page that lists them."""

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from logserver.testing import LogServer

from .programs import EXAMPLES, ROOT, TIMEOUT_S, address, door_option

PAGE = ROOT / "examples" / "README.md"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_says_what_it_is(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as exit:
        import_module(f"examples.{name}").main()
    assert exit.value.code == 0
    shown = " ".join(capsys.readouterr().out.lower().split())
    for part in ("what to watch out for:", f"{door_option(name)} host:port", "needs: pip install"):
        assert part in shown


def test_the_page_lists_each_example() -> None:
    page = PAGE.read_text()
    assert not set(EXAMPLES) - set(re.findall(r"python -m examples\.([\w.]+)", page))
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert not [link for link in links if not (PAGE.parent / link).exists()]


@pytest.mark.timeout(240)
def test_the_commands_of_the_page_run_one_after_the_other(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    commands = "".join(blocks).splitlines()
    assert len(commands) > 20
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with LogServer() as server:
        for command in commands:
            python, option, module, *arguments = shlex.split(command)
            assert (python, option) == ("python", "-m")
            done = subprocess.run(
                [sys.executable, "-m", module, *arguments, *address(server, module.removeprefix("examples."))],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
