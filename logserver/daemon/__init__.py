"""The daemon: wiring, signals, start and stop order."""

from logserver.daemon.daemon import Daemon, StartError
from logserver.daemon.run import run_loop, serve

__all__ = ["Daemon", "StartError", "run_loop", "serve"]
