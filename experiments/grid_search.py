"""`fmcam grid-search`, by the name in the provenance of results."""

import runpy

if __name__ == "__main__":
    runpy.run_module("fmcam.cli.grid_search", run_name="__main__", alter_sys=True)
