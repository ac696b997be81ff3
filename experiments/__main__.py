"""`fmcam <script>`, the same as `python -m experiments.<script>`."""

import argparse
import ast
import importlib.util
import pkgutil
import runpy
import sys

import experiments
import fmcam

__all__ = ["main"]


def main():
    """Run the script that the command line names, with the arguments after it."""
    scripts = _scripts()
    width = max(map(len, scripts))
    lines = [f"  {name:{width}}  {line}" for name, line in scripts.items()]
    flags = argparse.ArgumentParser(
        prog="fmcam",
        usage="fmcam [--help] [--version] SCRIPT ...",
        description=fmcam.__doc__,
        epilog="\n".join(["scripts:", *lines, "", "`fmcam SCRIPT --help` says what each takes."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_argument("--version", action="version", version=f"fmcam {fmcam.__version__}")
    flags.add_argument("script", choices=scripts, metavar="SCRIPT", help=argparse.SUPPRESS)
    script = flags.parse_args(sys.argv[1:2]).script
    del sys.argv[1]
    runpy.run_module(_module(script), run_name="__main__", alter_sys=True)


def _scripts():
    """The first line of the documentation of each script; none is imported, which takes seconds."""
    names = [found.name for found in pkgutil.iter_modules(experiments.__path__)]
    return {
        name.replace("_", "-"): _first_line(_module(name))
        for name in sorted(names)
        if not name.startswith("_")
    }


def _module(script):
    return f"{experiments.__name__}.{script.replace('-', '_')}"


def _first_line(module):
    source = importlib.util.find_spec(module).loader.get_source(module)
    return ast.get_docstring(ast.parse(source)).splitlines()[0]


if __name__ == "__main__":
    main()
