"""A job that does not want to be found: setsid, a double fork, children without the environment, TERM ignored, forks all the time.

``hostile.py FOLDER [exit-early]``: every process appends a byte to a file of its own each 5 ms.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def work(folder: str, name: str, forks: bool = False) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    out = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        os.write(out, b".")
        if forks:
            child = os.fork()
            if child == 0:
                time.sleep(0.02)
                os.write(out, b",")
                os._exit(0)
            while True:
                try:
                    if os.waitpid(-1, os.WNOHANG)[0] == 0:
                        break
                except ChildProcessError:
                    break
        time.sleep(0.005)


def main() -> None:
    folder = sys.argv[1]
    if os.fork() == 0:
        os.setsid()
        work(folder, "session")
    if os.fork() == 0:  # a daemon by the book: its parent dies, it is nobody's child
        os.setsid()
        if os.fork() == 0:
            os.chdir("/")
            work(folder, "daemon")
        os._exit(0)
    if os.fork() == 0:
        work(folder, "forks", forks=True)
    if os.fork() == 0:  # without the mark in its environment
        code = "import os,sys,runpy; sys.argv=['x']; ns=runpy.run_path(sys.orig_argv[-2]); ns['work'](sys.orig_argv[-1],'bare')"
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code, __file__, folder], {})
    if len(sys.argv) > 2:
        os._exit(0)
    work(folder, "main")


if __name__ == "__main__":
    main()
