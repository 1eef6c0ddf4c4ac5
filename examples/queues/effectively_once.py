"""Books payments from a queue, each once, although a message may come twice.

A queue delivers at least once; what counts once is the effect. The ids of booked payments are kept in the database of
the balances and written in the same transaction: either both are there or neither. What to watch out for:
- The transaction first, `ack` then. Dying in between, the payment comes again, is found booked, and acknowledged.
- The id is the payment's, given by who sends it and the same if it is sent again. Partition and offset of a message are
  no such id: a redriven dead letter has new ones.
- Two workers may have the same payment at the same time, one that the server takes for dead and the one after it. The
  primary key lets only one of them book; looking first and inserting then would not.
- Only what is in the database counts once. A mail that is sent on the way is sent twice; so write down that it is to be
  sent, and let somebody else send it (see outbox of confluent-kafka).

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import json
import signal
import sqlite3
import threading
from typing import Any

from logserver_client import MessageLost, Queue, Queues

TABLES = """
CREATE TABLE IF NOT EXISTS booked (payment TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, cents INTEGER NOT NULL) WITHOUT ROWID;
"""


def book(database: sqlite3.Connection, payment: dict[str, Any]) -> bool:
    """Books a payment; returns whether it was not booked before."""
    with database:
        inserted = database.execute("INSERT OR IGNORE INTO booked VALUES (?)", [payment["id"]])
        if inserted.rowcount == 0:
            return False
        database.execute(
            "INSERT INTO accounts VALUES (?, ?) ON CONFLICT DO UPDATE SET cents = cents + excluded.cents",
            [payment["to"], payment["cents"]],
        )
    return True


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--queue", default="payments")
    options.add_argument("--send", type=int, default=0, metavar="N", help="first send so many payments")
    options.add_argument("--database", default="accounts.db", metavar="FILE")
    options.add_argument("--max", type=int, help="end after so many messages; otherwise go on until Ctrl-C")
    chosen = options.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    database = sqlite3.connect(chosen.database, timeout=60)
    database.executescript(TABLES)
    with Queues(chosen.server) as queues:
        queues.declare(chosen.queue)
    count = 0
    with Queue(chosen.server, chosen.queue) as queue:
        for number in range(1, chosen.send + 1):
            payment = {"id": f"payment-{number}", "to": f"account-{number % 3}", "cents": number * 100}
            queue.send(json.dumps(payment).encode())
        queue.flush()
        with queue.consume(prefetch=10) as messages:
            while not stopping.is_set() and count != chosen.max:
                message = messages.get(timeout=0.5)
                if message is None:
                    continue
                payment = json.loads(message.value or b"")
                print(f"{payment['id']}: {'booked' if book(database, payment) else 'booked before'}", flush=True)
                try:
                    message.ack(wait=True)
                except MessageLost:
                    print(f"{payment['id']} will come again", flush=True)
                count += 1
    database.close()


if __name__ == "__main__":
    main()
