"""docs/compatibility.md is what the APIs' own files say."""

from pathlib import Path

from logserver.kafka_api.docs import page
from logserver.kafka_api.registry import APIS

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python -m logserver.kafka_api.docs > docs/compatibility.md"


def test_every_api_says_what_it_does_not_do() -> None:
    for api in APIS.values():
        assert f"| {api.key} | {api.name} |" in page()
