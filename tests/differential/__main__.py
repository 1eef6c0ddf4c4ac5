"""Asks Apache Kafka 4.3.1 and this server the same few hundred requests and prints the fields that differ.

Both run as processes on loopback, in temporary folders, one after the other, and are stopped at the end. Apache Kafka
comes from Maven Central, once, into build/differential; it needs java (17 or later), mvn and 1 GiB of memory.

What differs between any two servers - ids, ports, times, paths, the wording of messages - is not compared, and neither
is the order of topics, partitions and other named elements. Differences that are on purpose are listed in
tests/differential/known.py, each with the row of docs/compatibility.md that says why.

Exit code: 0 if every difference is listed and every one that is listed occurs, 1 if not, 3 if Apache Kafka can't be
run here.
"""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Final

from .compare import differences
from .explained import rows_without_place, sort
from .known import KNOWN
from .maven import CannotHaveKafka
from .report import document, text
from .run import replay
from .script.parts import PARTS

_CACHE: Final = Path(__file__).parents[2] / "build" / "differential"
_EXAMPLES: Final = """\
examples:
  make differential                                        everything
  python -m tests.differential --only produce fetch        two parts of the script, quickly
  python -m tests.differential --show fetch/'empty topic'  both answers to one request
"""


def main() -> int:
    """Runs the script; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.differential",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--json", action="store_true", help="print one JSON document, for programs")
    parser.add_argument("--show", nargs="+", default=[], metavar="PART/LABEL", help="print both answers to these, too")
    options = parser.parse_args()
    # So that both servers are stopped, whoever ends this.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    asked = [*(options.only or []), *(label.partition("/")[0] for label in options.show)]
    parts = [part for part in PARTS if part in asked or not asked]
    try:
        replayed = replay(parts, _CACHE, lambda line: print(line, file=sys.stderr))
    except CannotHaveKafka as error:
        print(f"{error}.", file=sys.stderr)
        return 3
    found = sort(differences(replayed.kafka, replayed.ours), KNOWN)
    if options.json:
        json.dump(document(replayed.kafka, found), sys.stdout, indent=2)
        print()
    else:
        for name, exchanges in (("Kafka", replayed.kafka), ("here", replayed.ours)):
            for exchange in exchanges:
                if f"{exchange.part}/{exchange.label}" in options.show:
                    print(f"{name}: {json.dumps(exchange.answer, indent=2)}")
        print(text(replayed.kafka, found, has_all=not asked))
    lost = rows_without_place(KNOWN)
    for row in lost:
        print(f"docs/compatibility.md has no row {row!r}", file=sys.stderr)
    has_needless = not asked and bool(found.needless)
    return 1 if found.unexplained or lost or has_needless else 0


if __name__ == "__main__":
    sys.exit(main())
