"""Worker process: single records with the synchronous bundled client."""

from itertools import islice
from time import monotonic_ns, perf_counter
from typing import Any

from logserver_client import Consumer, Producer

from benchmarks.clients.stamps import age_s, stamped
from benchmarks.support.worker import tell, work


def send(address: str, topic: str, records: int, value_bytes: int) -> list[float]:
    """Returns the seconds that each of so many records took to be acknowledged, one after the other."""
    took = []
    padding = bytes(value_bytes)
    with Producer(address, linger_ms=0) as producer:
        # Opens the stream, and is not waited for by the receiver.
        producer.send(topic, b"").result()
        for _ in range(records):
            value = stamped(padding)
            began = perf_counter()
            producer.send(topic, value).result()
            took.append(perf_counter() - began)
    return took


def receive(address: str, topic: str, records: int) -> Any:
    """Says when it reads, then returns the seconds from the sending of each record to its being handed out."""
    took = []
    with Consumer(address) as consumer:
        consumer.assign([(topic, 0)], at="latest")
        tell("reading")
        # The first one has no stamp.
        for record in islice(consumer, records + 1):
            now_ns = monotonic_ns()
            if record.value:
                took.append(age_s(record.value, now_ns))
    return took


if __name__ == "__main__":
    work({"send": send, "receive": receive})
