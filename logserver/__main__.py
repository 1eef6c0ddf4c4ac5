"""`python -m logserver` is the command `logserver`."""

from logserver.cli import main

if __name__ == "__main__":
    main()
