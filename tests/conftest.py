"""For all tests: hypothesis looks at the same examples every time; long proofs turn `derandomize` off themselves."""

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("same")
