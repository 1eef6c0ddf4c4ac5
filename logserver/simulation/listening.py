"""Listens to the server's log lines: one with a traceback tells of a fault in the server, whatever its clients see."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from logserver.simulation.disk import PowerCut
from logserver.simulation.ledger import Violation
from logserver.simulation.loop import is_dead
from logserver.simulation.world import World


class _Listener(logging.Handler):
    """Keeps faults; everything else is let go, as crashes make many lines."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or is_end(error) or is_dead():
            return
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        where = trace.strip().splitlines()[-3:]
        self._world.broken(Violation("fault in the server", f"{record.getMessage()}: {error!r}: {' '.join(where)}"))


def is_end(error: BaseException) -> bool:
    """Returns whether an exception is nothing but the end of the process."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_end, error.exceptions))
    return isinstance(error, (PowerCut, GeneratorExit))


@contextmanager
def listening(world: World) -> Iterator[None]:
    """Takes the server's log lines while inside; a fault ends the run."""
    logger = logging.getLogger("logserver")
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers[:], logger.propagate = [_Listener(world)], False
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # What a killed process has not begun is never awaited.
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        logger.handlers[:], logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
