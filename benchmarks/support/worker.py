"""The other end of `processes.Worker`: jobs come on standard input, answers go to standard output, a JSON line each."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

CANNOT: Final = "cannot"
"""The only key of an answer that says why there is none."""


class CannotDo(Exception):
    """A peer has not what a measurement takes, or fails in it; the message says what, in a sentence."""


Job = dict[str, Any]
"""What to do; `kind` names the function, the rest are its arguments."""


def work(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Does jobs until standard input ends; one that raises CannotDo is answered so, anything else ends the process."""
    for line in sys.stdin:
        job: Job = json.loads(line)
        try:
            answer = functions[job.pop("kind")](**job)
        except CannotDo as error:
            answer = {CANNOT: str(error)}
        tell(answer)


def tell(answer: Any) -> None:
    """Says something to whoever gave the job."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
