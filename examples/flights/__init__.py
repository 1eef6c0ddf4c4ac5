"""A demonstration with a year of flights: stored, killed, restarted, replayed, and checked from what is read back.

Run it with `make demo`, or `python -m examples.flights` where the log server is installed.
"""
