"""Servers that others have written, from what registries ship: fetched into `build/peers`, run on loopback, ended."""
