"""`python -m framewire.worker`: the `framewire-worker` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
