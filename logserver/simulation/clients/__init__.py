"""Clients of the simulated server: each does its work over and over, and notes what it was told."""
