"""`fmcam train`, by the name in the provenance of results."""

import sys

from fmcam.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main()
