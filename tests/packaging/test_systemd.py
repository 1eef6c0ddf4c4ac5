"""The unit file that docs/systemd.md installs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

UNIT = ROOT / "docs" / "logserver.service"
INSTALLED = "/opt/logserver/bin/logserver"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    # systemd-analyze wants the program to be there: any program will do.
    text = UNIT.read_text()
    assert f"ExecStart={INSTALLED} serve " in text
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(INSTALLED, sys.executable).replace("User=logserver", "User=root"))
    command = ["systemd-analyze", "verify", "--man=no", "--generators=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
