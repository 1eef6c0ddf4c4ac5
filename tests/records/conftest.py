"""How hypothesis runs here."""

from hypothesis import settings

# No test fails for being slow on a busy machine; a failure prints what reproduces it.
settings.register_profile("records", deadline=None, print_blob=True)
settings.load_profile("records")
