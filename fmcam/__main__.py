"""`python -m fmcam`, the same as `fmcam`."""

from fmcam.cli import main

if __name__ == "__main__":
    main()
