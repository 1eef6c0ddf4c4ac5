"""Calls that fail because a test wants to see what its program does then. A server that no test has made has none."""

import difflib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType

from logserver.errors import ErrorCode, LogServerError, kafka_name


class Fault(AbstractContextManager["Fault", None]):
    """Some calls that are to fail. As a context manager it ends with it.

    Args:
        apis: whole names, such as "Log.Produce".
        times: how many calls; None for all until `end`.
    """

    def __init__(self, apis: frozenset[str], error: ErrorCode, times: int | None) -> None:
        self.apis = apis
        self.error = error
        self.failed = 0
        """How many calls have failed so far."""
        self._times = times

    def end(self) -> None:
        """Lets calls that come from here on be; fine if it is over already."""
        self._times = self.failed

    @property
    def is_over(self) -> bool:
        """Whether no more calls fail by it."""
        return self._times is not None and self.failed >= self._times

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Faults:
    """What is to fail, asked by the doors at every call."""

    def __init__(self) -> None:
        self._served: set[str] = set()
        # By whole name, those that were set first coming first.
        self._set: dict[str, list[Fault]] = {}

    def serves(self, api: str) -> None:
        """Takes in that there is an API.

        Args:
            api: its whole name: of its service and of its method, such as "Log.Produce"; "Kafka.Produce" for Kafka's.
        """
        self._served.add(api)

    def fail(self, api: str, error: ErrorCode | str, times: int | None) -> Fault:
        """Has calls fail from now on.

        Args:
            api: a whole name, or its last part for all that end so.
            error: Kafka's code, or its name, such as "NOT_LEADER_OR_FOLLOWER".
            times: how many calls, at least 1; None for all until the fault is ended.

        Raises:
            ValueError: there is no such API or error, or no such number of times.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is {times}: give 1 or more, or None for every call until the fault is ended")
        fault = Fault(self._find(api), _error(error), times)
        for name in fault.apis:
            self._set.setdefault(name, []).append(fault)
        return fault

    def take(self, api: str) -> LogServerError | None:
        """Returns what a call of an API, by its whole name, is to fail with; it counts. None as a rule."""
        faults = self._set.get(api)
        if faults is None:
            return None
        while faults and faults[0].is_over:
            del faults[0]
        if not faults:
            del self._set[api]
            return None
        faults[0].failed += 1
        return LogServerError(faults[0].error, f"a test has {api} fail")

    def is_due(self, api: str) -> bool:
        """Whether the next call of an API, by its whole name, is to fail."""
        return api in self._set and any(not fault.is_over for fault in self._set[api])

    def _find(self, api: str) -> frozenset[str]:
        found = frozenset(name for name in self._served if api in (name, _method(name)))
        if not found:
            raise ValueError(_unknown("API", api, {*self._served, *map(_method, self._served)}))
        return found


def _method(api: str) -> str:
    return api.rpartition(".")[2]


def _error(error: ErrorCode | str) -> ErrorCode:
    codes = {kafka_name(code): code for code in ErrorCode if code is not ErrorCode.none}
    name = error if isinstance(error, str) else kafka_name(error)
    if name not in codes:
        raise ValueError(_unknown("error", name, codes))
    return codes[name]


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Returns a sentence that names the nearest of what there is."""
    spelled = {there.lower(): there for there in sorted(known)}
    nearest = difflib.get_close_matches(name.lower(), spelled, n=1, cutoff=0.5)
    return f"there is no {what} {name!r}" + (f"; did you mean {spelled[nearest[0]]!r}?" if nearest else "")
