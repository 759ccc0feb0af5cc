"""Child processes: each a module of this project, which ends with the block that started it, and on cores of its own.

A child starts in the user's folder, so that paths mean what they mean there, and imports nothing from it: `-P` and
PYTHONSAFEPATH keep that folder off the path of the child and of what it starts, and this repository comes first.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

from common import environment


class Children:
    """The processes that were started in a `with` block. Those that still run when it is left, on Ctrl-C and on errors too,
    are killed, with all that they have started: whatever we write is whole at any moment."""

    def __init__(self):
        self._running, self.ended = [], False  # `ended`: the block was left
        self._lock = threading.Lock()  # those who start may be several threads

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *error) -> None:
        with self._lock:
            self.ended = True
        for process in self._running:
            end(process)

    def start(
        self, module: str, *arguments, cores: str | None = None, threads: int | None = None, **options
    ) -> subprocess.Popen:
        """`python -m module arguments`, on `cores` (of `environment.shares`), by default on those of this process; or with so
        many `threads` on any of these, unless the user has said how many.

        `options` are Popen's. A group of its own (where the system has groups), so that Ctrl-C reaches the parent alone, which
        says one line; and when the parent dies, the kernel wakes and ends a child that is stopped.
        """
        command = [sys.executable, "-P", "-m", module, *map(str, arguments)]
        path = os.pathsep.join(filter(None, (str(environment.ROOT), os.environ.get("PYTHONPATH"))))
        variables = os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
        if cores is not None:
            variables |= environment.thread_settings(cores)
        elif threads is not None:
            variables = environment.pool_settings(threads) | variables
        options = {"stdin": subprocess.DEVNULL, "process_group": 0} | options
        with self._lock:
            if self.ended:
                raise RuntimeError(f"{module} was to be started after its block was left")
            process = subprocess.Popen(command, env=variables, **options)
            self._running.append(process)
        return process


def end(process: subprocess.Popen) -> None:
    """Kill a process of `Children.start`, running or stopped, with all that it has started, and close its pipes. A second call
    does nothing."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            # Its leader has not been waited for, so the number cannot be another group's yet.
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
    for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
        with contextlib.suppress(BrokenPipeError):  # of words that it died too early to read
            pipe.close()
