"""What the source archive and the wheel hold."""

import configparser
import tarfile
import zipfile
from email import message_from_string

import logserver

from .conftest import ROOT, Distribution

PACKAGES = {"logserver", "logserver_client", "logserver_records", "logserver_segments", "logserverpb"}
FOLDERS = ["logserver", "segments", "clients", "proto"]


def names(distribution: Distribution) -> list[str]:
    with zipfile.ZipFile(distribution.wheel) as wheel:
        return wheel.namelist()


def test_the_wheel_holds_our_packages_and_nothing_else(distribution: Distribution) -> None:
    tops = {name.split("/")[0] for name in names(distribution)}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_the_wheel_holds_every_module_of_the_tree(distribution: Distribution) -> None:
    parents = {"logserver": ROOT, "segments": ROOT / "segments", "clients": ROOT / "clients", "proto": ROOT / "proto"}
    modules = {str(path.relative_to(parents[folder])) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py*")}
    expected = {name for name in modules if "__pycache__" not in name}
    assert expected <= set(names(distribution))


def test_every_package_in_the_wheel_is_marked_as_typed(distribution: Distribution) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names(distribution))


def test_the_wheel_brings_the_command_and_the_pytest_plugin(distribution: Distribution) -> None:
    with zipfile.ZipFile(distribution.wheel) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
        parser = configparser.ConfigParser()
        parser.read_string(wheel.read(name).decode())
    assert dict(parser["console_scripts"]) == {"logserver": "logserver.cli:main"}
    assert dict(parser["pytest11"]) == {"logserver": "logserver.pytest_plugin"}


def test_the_wheel_carries_version_licence_and_readme(distribution: Distribution) -> None:
    with zipfile.ZipFile(distribution.wheel) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_string(wheel.read(name).decode())
        licence = wheel.read(name.replace("METADATA", "licenses/LICENSE"))
    assert metadata["Version"] == logserver.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert metadata.get_payload() == (ROOT / "README.md").read_text()


def test_the_source_archive_can_be_tested_and_read(distribution: Distribution) -> None:
    with tarfile.open(distribution.sdist) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = {"pyproject.toml", "Makefile", "README.md", "LICENSE", "CHANGELOG.md", "tests/packaging/conftest.py"}
    assert wanted <= held
    assert not {name for name in held if name.startswith((".venv", "build/", "dist/", "logserver-data/"))}
