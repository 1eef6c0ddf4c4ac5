"""A log server with other thresholds of the garbage collector than it comes with.

`python -m benchmarks.support.collecting_server DIRECTORY THRESHOLDS`: what `gc.set_threshold` takes, with commas
between them, or `python` for those of the interpreter; 0 turns it off.
"""

import gc
import sys

from logserver.daemon import serve
from logserver.settings import load_settings

PYTHON = "python"


def main() -> None:
    directory, text = sys.argv[1:]
    thresholds = gc.get_threshold() if text == PYTHON else tuple(int(part) for part in text.split(","))

    def ready(line: str) -> None:
        # The server has set its own by now.
        gc.set_threshold(*thresholds)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    named = {"log.dirs": directory, "grpc.listeners": "127.0.0.1:0", "listeners": "127.0.0.1:0"}
    serve(load_settings(command_line=named.items()), ready)


if __name__ == "__main__":
    main()
