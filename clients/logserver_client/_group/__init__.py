"""Membership in a consumer group: pure machines, the stream they speak over, and what ties them to a consumer."""
