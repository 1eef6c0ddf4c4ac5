"""The daemon: wiring, signals, start and stop order."""

from logserver.daemon.daemon import Daemon, StartError
from logserver.daemon.run import serve

__all__ = ["Daemon", "StartError", "serve"]
