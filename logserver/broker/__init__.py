"""Topics, partitions and producers: the one API that every door calls."""

from logserver.broker.broker import Broker
from logserver.broker.fetching import FetchResult, FetchTarget, fetch
from logserver.broker.partition import DataWaiter, Partition
from logserver.broker.topics import Topic

__all__ = ["Broker", "DataWaiter", "FetchResult", "FetchTarget", "Partition", "Topic", "fetch"]
