"""The worker's command with 256 descriptors at most, of which it has 128 until it takes the rest."""

import resource
import sys

from framewire.worker.cli import main

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 256))
    sys.exit(main())
