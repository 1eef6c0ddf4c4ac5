"""For all tests: hypothesis looks at the same examples every time; long proofs turn `derandomize` off themselves."""

import signal

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("same")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell, which has children ignore it; tests send it to theirs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
