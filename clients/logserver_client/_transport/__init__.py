"""Channels to the nodes of a cluster, errors of calls, and who leads which partition."""
