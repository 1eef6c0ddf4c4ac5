"""Regular expressions over topic names, for subscriptions by pattern.

Apache Kafka's coordinator matches with RE2/J (KIP-848, `SubscribedTopicRegex`); this is RE2, the engine that it was
made after: the same syntax (no backreferences, no look-around), and time linear in the name, whatever the expression.
One difference: groups may share a name, since nothing asks what they hold. Matching is pure and lets go of the GIL, so
many names can be matched on a thread.
"""

from __future__ import annotations

from typing import Any, Final

import re2

from logserver.errors import ErrorCode, LogServerError

PATTERN_LENGTH_MAX: Final = 1_000
"""The most characters of an expression (Kafka has no limit)."""

PATTERN_MEMORY_BYTES_MAX: Final = 128 * 1024
"""The most memory that a compiled expression and its automaton may take.

Also what bounds the time of a match: some 6,000 instructions fit, and with the worst of those a name of 249 characters
takes 3 ms where an ordinary expression takes a few microseconds.
"""

_SHOWN_MAX: Final = 100
"""Characters of an expression, or of RE2's complaint, that an error message shows."""


class TopicPattern:
    """A compiled regular expression; made by `compile_pattern`."""

    __slots__ = ("_regexp", "text")

    def __init__(self, text: str, regexp: Any) -> None:
        self.text = text
        self._regexp = regexp

    def matches(self, name: str) -> bool:
        """True if the whole topic name matches (Kafka: `Matcher.matches`), not only a part of it."""
        # As bytes: for a str, the library also counts characters to say where groups are.
        return self._regexp.fullmatch(name.encode()) is not None

    def __repr__(self) -> str:
        return f"TopicPattern({self.text!r})"


def compile_pattern(text: str) -> TopicPattern:
    """Returns the pattern of an expression in RE2's syntax.

    Raises:
        LogServerError: INVALID_REGULAR_EXPRESSION where it is none, is longer than `PATTERN_LENGTH_MAX` or takes more
            than `PATTERN_MEMORY_BYTES_MAX`.
    """
    if len(text) > PATTERN_LENGTH_MAX:
        raise _invalid(text, f"it has {len(text)} characters, and {PATTERN_LENGTH_MAX} are allowed")
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise _invalid(text, "it has half of a surrogate pair, which is no character") from None
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY_BYTES_MAX
    # Only whether a name matches is asked: finding out what 249 groups hold would take a thousand times as long.
    options.never_capture = True
    # Its log would have every client's typing error.
    options.log_errors = False
    try:
        return TopicPattern(text, re2.compile(encoded, options))
    except re2.error as error:
        # An error's only argument is the complaint, as bytes.
        complaint = error.args[0].decode(errors="replace")
    if complaint.startswith("pattern too large"):
        raise _invalid(
            text,
            f"compiled it takes more than {PATTERN_MEMORY_BYTES_MAX // 1024} KiB; use fewer or smaller repetitions"
            " such as {100}, and [a-z] rather than classes of all languages such as \\pL",
        )
    raise _invalid(text, f"{_shown(complaint)} (the syntax is RE2's, which has no backreferences or look-around)")


def _invalid(text: str, why: str) -> LogServerError:
    message = f"'{_shown(text)}' is not a regular expression that topics can be subscribed to by: {why}."
    return LogServerError(ErrorCode.invalid_regular_expression, message)


def _shown(text: str) -> str:
    """Shortened, and with escapes for what a terminal or a log would obey."""
    shortened = text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."
    return shortened if shortened.isprintable() else ascii(shortened)[1:-1]
