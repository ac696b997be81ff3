"""`python` for the blocks of pages: each program runs in a fork of one that has imported PyTorch.

A fresh Python spends seconds on its imports, and the pages start some fifty.

    python warm_python.py SOCKET                  waits for programs
    python -S warm_python.py SOCKET -m fmcam ...  runs one there, as if here
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
from types import ModuleType


def wait_for_programs(path):
    """Come back in a process of its own for each program, with its arguments."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                break
            connection.close()
    _, streams, *_ = socket.recv_fds(connection, 1, 3)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if program := os.fork():
        _, status = os.waitpid(program, 0)
        connection.sendall(bytes([os.waitstatus_to_exitcode(status) % 256]))
        os._exit(0)
    with connection, connection.makefile() as request:
        folder, environment, arguments = json.load(request)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return arguments


def run(option, what, *arguments):
    """What ``python -c`` and ``python -m`` do."""
    atexit.register(os.close, 2)  # the last to run: Triton tells what it finds not collected
    sys.argv = [option, *arguments]
    sys.path[0] = ""
    if option == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(sys.modules["__main__"]))


def ask(path, arguments):
    """The exit status of a program that runs over there."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [b"."], [0, 1, 2])
        connection.sendall(json.dumps([os.getcwd(), {**os.environ}, arguments]).encode())
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(1)[0]


if __name__ == "__main__":
    _, path, *arguments = sys.argv
    if arguments:
        sys.exit(ask(path, arguments))
    for package in map(importlib.import_module, ("fmcam.cli", "experiments")):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            # those that import what is heavy, but for `_app`, which needs an extra
            if "._" in module.name and not module.ispkg:
                importlib.import_module(module.name)
    gc.freeze()  # else each program spends most of a second on looking at all that in its end
    run(*wait_for_programs(path))
