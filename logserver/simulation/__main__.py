"""One process of a crash test: reads seeds from standard input, writes what came of each as a line of JSON."""

import faulthandler
import gc
import json
import signal
import sys
import warnings

from logserver.simulation.run import simulate


def main() -> None:
    """Works until standard input ends."""
    # Who ends a run that goes on for too long learns where it was, also while it never comes back to Python's handlers.
    faulthandler.register(signal.SIGTERM, chain=True)
    # What a killed process had not begun is never awaited.
    warnings.simplefilter("ignore", RuntimeWarning)
    for line in sys.stdin:
        outcome = simulate(int(line))
        sys.stdout.write(json.dumps(outcome.document()) + "\n")
        sys.stdout.flush()
        gc.collect()


if __name__ == "__main__":
    main()
