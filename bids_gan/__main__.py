"""``python -m bids_gan`` is ``bids-gan``."""

import sys

from bids_gan.cli.run import main

if __name__ == "__main__":
    sys.exit(main())
