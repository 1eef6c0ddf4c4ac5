"""Delivers the mails of mail_sender: what fails now is tried again later, what can never be done is set aside.

A mail goes into the mailbox of its name, a directory. If there is none the mail waits for its next try, longer each
time, and others are delivered meanwhile. What to watch out for:
- A handler that returns has done its message, one that raises has failed: the queue's policies say when it is tried
  again, and when it was tried often enough and goes to the dead letters. `Reject` sends it there at once: for what will
  be wrong each time. `Retry(seconds)` is for who knows better when, such as a service that says "again in a minute".
- When a service is down everything fails, and in the end all is among the dead letters. Long rests are better than
  many tries, and dead_letters brings them back.
- A mail that rests is overtaken by others: a queue with retries has no order.
- A worker that dies while it delivers has tried as well; so the last try of a mail that kills its worker ends with the
  dead letters, not with the last worker.

Needs: pip install . (in the sources: the client comes with the server)
"""

import argparse
import itertools
import json
import mailbox
from pathlib import Path

from logserver_client import Message, Queue, Reject, Retry, Worker


def deliver(mail: dict[str, str], mailboxes: Path) -> None:
    """Puts a mail into its mailbox; raises mailbox.NoSuchMailboxError."""
    text = mailbox.MaildirMessage()
    text["To"] = mail["to"]
    text.set_payload(mail["text"])
    mailbox.Maildir(mailboxes / mail["to"], create=False).add(text)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", default="127.0.0.1:50051", metavar="HOST:PORT")
    options.add_argument("--queue", default="mails")
    options.add_argument("--mailboxes", type=Path, default=Path("mailboxes"), metavar="FOLDER")
    options.add_argument("--open", action="append", default=[], metavar="NAME", help="open a mailbox first; repeatable")
    options.add_argument("--concurrency", type=int, default=1, metavar="N", help="mails at a time")
    options.add_argument("--max", type=int, metavar="N", help="end after so many tries; otherwise at Ctrl-C")
    chosen = options.parse_args()
    chosen.mailboxes.mkdir(exist_ok=True)
    for name in chosen.open:
        mailbox.Maildir(chosen.mailboxes / name)
    tries = itertools.count(1)

    def handle(message: Message) -> None:
        try:
            mail = json.loads(message.value or b"")
            if not mail["to"].isalnum():
                raise ValueError("it has no name")
            deliver(mail, chosen.mailboxes)
            print(f"delivered to {mail['to']}", flush=True)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Reject(f"not a mail: {error}") from error
        except mailbox.NoSuchMailboxError as error:
            print(f"try {message.deliveries}: {mail['to']} has no mailbox", flush=True)
            # As any other exception would, but without a traceback in the log: this one is expected.
            raise Retry(reason="no mailbox") from error
        finally:
            if next(tries) == chosen.max:
                worker.stop()

    with Queue(chosen.server, chosen.queue) as queue:
        worker = Worker(queue, handle, concurrency=chosen.concurrency)
        # Until SIGINT, SIGTERM or `stop`; finishes what it has begun, and gives back the rest.
        worker.run()
    print("the worker has ended")


if __name__ == "__main__":
    main()
