"""What holds for each example of a Kafka client."""

import subprocess
import sys

import pytest

from .programs import EXAMPLES, ROOT


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_says_what_it_is(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    for part in ("What to watch out for:", "What to watch out for", "--bootstrap-server", "Needs: pip install"):
        assert part.lower() in done.stdout.lower()


def test_the_page_of_the_examples_lists_each_of_them() -> None:
    page = (ROOT / "examples" / "README.md").read_text()
    assert not [name for name in EXAMPLES if f"python -m examples.{name}" not in page]
