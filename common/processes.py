"""Child processes: each a module of this project, which ends with the block that started it, and on cores of its own.

A child starts in the user's folder, so that paths mean what they mean there, and imports nothing from it: `-P` and
PYTHONSAFEPATH keep that folder off the path of the child and of what it starts, and this repository comes first.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait

from common import environment
from common.errors import TrainingFailed
from common.terminal import ERR


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
        self,
        module: str,
        *arguments: object,
        cores: str | None = None,
        threads: int | None = None,
        python: str = sys.executable,
        settings: Mapping[str, str] | None = None,
        **options: object,
    ) -> subprocess.Popen:
        """`python -m module arguments`, on `cores` (of `environment.shares`), by default on those of this process; or with so
        many `threads` on any of these, unless the user has said how many. `python` may be another interpreter; `settings` are
        further variables of its environment.

        `options` are Popen's. A group of its own (where the system has groups), so that Ctrl-C reaches the parent alone, which
        says one line; and when the parent dies, the kernel wakes and ends a child that is stopped.
        """
        command = [python, "-P", "-m", module, *map(str, arguments)]
        path = os.pathsep.join(filter(None, (str(environment.ROOT), os.environ.get("PYTHONPATH"))))
        variables = os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
        if cores is not None:
            variables |= environment.thread_settings(cores)
        elif threads is not None:
            variables = environment.pool_settings(threads) | variables
        variables |= settings or {}
        options = {"stdin": subprocess.DEVNULL, "process_group": 0} | options
        with self._lock:
            if self.ended:
                raise RuntimeError(f"{module} was to be started after its block was left")
            process = subprocess.Popen(command, env=variables, **options)
            self._running.append(process)
        return process

    def carry_through(self, module: str, *arguments: object, advice: str, alone: bool, **options: object) -> None:
        """Start a child and wait for it. Its errors are shown, and its progress too where it is `alone`.

        Raises TrainingFailed, with the `advice`, unless it ends well.
        """
        with tempfile.TemporaryFile("w+") as said:
            stderr = None if alone else said
            process = self.start(module, *arguments, stdout=subprocess.DEVNULL, stderr=stderr, **options)
            if code := process.wait():
                said.seek(0)
                if not self.ended:
                    ERR.print(said.read(), end="", markup=False, soft_wrap=True)
                raise TrainingFailed(f"{arguments[0]} ended with exit code {code}; {advice}")


def in_turn(tasks: Iterable, jobs: int, carry: Callable) -> list:
    """[carry(number, task, cores, children)] of the tasks, which are numbered from 1: `jobs` at a time, each with its part of
    the cores, None where it is alone.

    When one raises, those that run beside it are waited for and no other is begun. On Ctrl-C all of them are ended.
    """
    failed, free = threading.Event(), queue.SimpleQueue()
    for cores in environment.shares(jobs) if jobs > 1 else [None]:
        free.put(cores)

    def one(number: int, task: object) -> object:
        if failed.is_set():
            return None
        cores = free.get()
        try:
            return carry(number, task, cores, children)
        except BaseException:
            failed.set()  # before this thread takes the next task
            raise
        finally:
            free.put(cores)

    # The pool waits for its threads, and these for their children: so those are ended first.
    with ThreadPoolExecutor(jobs) as pool, Children() as children:
        futures = [pool.submit(one, number, task) for number, task in enumerate(tasks, 1)]
        wait(futures)
    return [future.result() for future in futures]


def end(process: subprocess.Popen) -> None:
    """Kill a process of `Children.start`, running or stopped or ended by itself, with all that it has started, and close its pipes. A
    second call does nothing."""
    if process.returncode is None:
        if hasattr(os, "killpg"):
            # Its leader has not been waited for, so the number cannot be another group's yet.
            with contextlib.suppress(ProcessLookupError, PermissionError):  # of those that have ended
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
    for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
        with contextlib.suppress(BrokenPipeError):  # of words that it died too early to read
            pipe.close()
