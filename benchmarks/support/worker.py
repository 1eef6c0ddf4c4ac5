"""The other end of `processes.Worker`: jobs come on standard input, answers go to standard output, a JSON line each."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

Job = dict[str, Any]
"""What to do; `kind` names the function, the rest are its arguments."""


def work(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Does jobs until standard input ends."""
    for line in sys.stdin:
        job: Job = json.loads(line)
        tell(functions[job.pop("kind")](**job))


def tell(answer: Any) -> None:
    """Says something to whoever gave the job."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
