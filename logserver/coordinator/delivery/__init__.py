"""Delivery of records to those who work on them: locks, counts, retries, dead letters, and who is next."""
