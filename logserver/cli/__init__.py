"""The command `logserver`; `main` is its entry point."""

from logserver.cli.entry import main

__all__ = ["main"]
