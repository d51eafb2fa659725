"""`python -m hyperprune`: the command line, for an interpreter whose scripts are not on the path."""

import sys

from hyperprune.cli import main

if __name__ == "__main__":
    sys.exit(main())
