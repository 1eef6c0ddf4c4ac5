"""The log of one partition: appending, committing, reading, and giving space back.

`log.Log` is what others use; `state.LogState` is what a log consists of, and every other module one thing that is done
with it.
"""

from logserver_segments.log.log import Log

__all__ = ["Log"]
