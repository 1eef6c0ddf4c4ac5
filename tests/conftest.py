"""For all tests: hypothesis looks at the same examples every time; long proofs turn `derandomize` off themselves.

The end of a run says which other clients the machine lacks.
"""

import signal
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

from .other_clients.missing import sentences

settings.register_profile("same", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("same")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell, which has children ignore it; tests send it to theirs.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with few tests come first: those that take minutes are among them, and none should begin near the end."""
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: sizes[item.path])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None]:
    yield
    said = list(sentences(terminalreporter.stats.get("skipped", [])))
    if said:
        terminalreporter.section("left out")
        for sentence in said:
            terminalreporter.write_line(sentence)
