"""What runs in a worker process: see `processes`. Started as a module, with its niceness as the only argument."""

import gc
import os
import pickle
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any, Final

from logserver_segments.processes import read_message, write_message

_WHO_GOES_FIRST: Final = "800"
"""Of 1000: where memory runs out the kernel is to take this process, which may go at any time, and not the server."""


def main() -> None:
    """Does what comes over standard input, a piece after the other, until that ends."""
    answers = _own_output()
    os.nice(int(sys.argv[1]))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(_WHO_GOES_FIRST)
    # Records come and go in millions and are in no cycles; looking for these would take a third of the time.
    gc.disable()
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(messages,), daemon=True).start()
    values: Iterator[Any] = iter(())
    while True:
        message = messages.get()
        try:
            if message != "next":
                function, args, kwargs = message
                values = function(*args, **kwargs)
            answer: tuple[str, object] = ("end", None)
            for value in values:
                answer = ("value", value)
                break
        except Exception as error:
            answer = ("error", _portable(error))
        write_message(answers, answer)


def _portable(error: Exception) -> Exception:
    """Returns the error if it is the same on the other side of the pipe, otherwise one that says what it was."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        copy = None
    return error if type(copy) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")


def _own_output() -> IO[bytes]:
    """Returns standard output as it was; from now on what anybody prints goes to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


def _read(messages: "queue.SimpleQueue[Any]") -> None:
    while (message := read_message(sys.stdin.buffer)) is not None:
        messages.put(message)
    # The server has ended, or wants no more of this: nothing here is worth finishing.
    os._exit(0)


if __name__ == "__main__":
    main()
