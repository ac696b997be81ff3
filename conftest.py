"""What is not looked through for tests."""

from importlib.util import find_spec

# The examples of docstrings are looked for by importing each module.
collect_ignore = [] if find_spec("gradio") else ["fmcam/cli/_app/_page.py"]
