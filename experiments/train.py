"""`fmcam train`, by the name in the provenance of results."""

import runpy

if __name__ == "__main__":
    runpy.run_module("fmcam.cli.train", run_name="__main__", alter_sys=True)
