"""Fetches the peers, or says which of them are there: `python -m benchmarks.peers fetch`."""

import argparse
import sys
from collections.abc import Callable
from typing import Any, Final
from zipfile import BadZipFile

from benchmarks.peers import kafka, nats, rabbitmq, redis, tansu
from benchmarks.peers.process import CannotHavePeer

_FETCH: Final[dict[str, Callable[..., Any]]] = {
    "kafka": kafka.fetch,
    "tansu": tansu.fetch,
    "redis": redis.fetch,
    "nats": nats.fetch,
    "rabbitmq": rabbitmq.fetch,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("action", choices=("fetch", "list"))
    parser.add_argument("names", nargs="*", metavar="PEER", help=f"these only, of {', '.join(_FETCH)}")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(_FETCH))
    if unknown:
        parser.error(f"no peers: {', '.join(unknown)}; there are {', '.join(_FETCH)}")
    for name in options.names or _FETCH:
        try:
            _FETCH[name](may_fetch=options.action == "fetch")
        except (CannotHavePeer, OSError, BadZipFile) as error:
            sys.stdout.write(f"{name}: left out, because {error}\n")
        else:
            sys.stdout.write(f"{name}: there\n")


if __name__ == "__main__":
    main()
