"""A build backend (PEP 517) that builds nothing: its metadata is the PKG-INFO lying in the source archive.

`archive.py` puts it in the place of setuptools, so that `pip download` runs none of the archive's own code.
"""

import shutil
import sys
from email import message_from_string
from pathlib import Path

__legacy__ = sys.modules[__name__]
"""The name under which pip looks for the backend of an archive without a pyproject.toml."""


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
    """Needs nothing."""
    return []


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: object = None) -> str:
    """Writes the `.dist-info` folder of the archive in the current directory; returns its name."""
    metadata = message_from_string(Path("PKG-INFO").read_text(encoding="utf-8"))
    info = Path(metadata_directory, f"{metadata['Name']}-{metadata['Version']}.dist-info")
    info.mkdir()
    shutil.copy("PKG-INFO", info / "METADATA")
    return info.name
