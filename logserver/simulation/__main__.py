"""One process of a crash test: reads seeds from standard input, writes what came of each as a line of JSON."""

import gc
import json
import sys
import warnings

from logserver.simulation.run import simulate


def main() -> None:
    """Works until standard input ends."""
    # What a killed process had not begun is never awaited.
    warnings.simplefilter("ignore", RuntimeWarning)
    for line in sys.stdin:
        outcome = simulate(int(line))
        sys.stdout.write(json.dumps(outcome.document()) + "\n")
        sys.stdout.flush()
        gc.collect()


if __name__ == "__main__":
    main()
