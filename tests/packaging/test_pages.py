"""What the pages name is there."""

import re
from pathlib import Path

import pytest

from .conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TREES = ("logserver/", "segments/", "clients/", "proto/", "tests/", "examples/", "docs/", "benchmarks/")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    lost = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_folders_named_in_pages_exist(page: Path) -> None:
    named = [name for name in re.findall(r"`([\w./*-]+)`", page.read_text()) if name.startswith(TREES)]
    assert not [name for name in named if not list(ROOT.glob(name))]


def test_make_targets_named_in_pages_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for page in PAGES for target in re.findall(r"`make ([\w-]+)", page.read_text())}
    assert named <= targets


@pytest.mark.parametrize("page", ["README.md", "docs/groups.md", "docs/transactions.md"])
def test_settings_in_other_pages_have_the_defaults_of_the_settings_page(page: str) -> None:
    def defaults(page: Path) -> set[tuple[str, str]]:
        return set(re.findall(r"^\| `([a-z.]+)` \| `([^`]+)` \|", page.read_text(), re.MULTILINE))

    shown = defaults(ROOT / page)
    assert shown
    assert shown <= defaults(ROOT / "docs" / "settings.md")
