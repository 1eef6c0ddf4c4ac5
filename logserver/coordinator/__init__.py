"""Groups: their offsets, members and assignments, as state machines whose state is a log."""
