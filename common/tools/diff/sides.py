"""The judge's end of a side: a process that is asked, with a time limit, and that never outlives the judge."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from common import processes
from common.errors import TetraplaError
from common.probing import Arrays, Description, described, tensors
from common.processes import Children

POLL = 0.5  # seconds after which a side is looked at that says nothing


class SideFailed(TetraplaError):
    """A side could not be built or asked; `lines` are the user's part of its traceback. Nothing is judged: exit code 2."""

    exit_code = 2

    def __init__(self, message: str, lines: list[str] = ()):
        super().__init__(message)
        self.lines = list(lines)


class Side:
    """The user's function `name` of `file`, in an interpreter of its own if `python` is one, float type `dtype`.

    `timeout`: seconds that it may take to be built, and then for each answer. Raises SideFailed from every method.
    """

    def __init__(
        self,
        children: Children,
        file: Path,
        name: str,
        folder: Path,
        dtype: str,
        timeout: float,
        python: str | None = None,
    ):
        self.name, self.folder, self.timeout, self.what = name, folder, timeout, f"{name}()"
        self.log = folder / f"{name}-{dtype}.log"
        self.python, self.gone = python or sys.executable, ""  # `gone`: why it is no more
        about = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "python": self.python}
        try:
            with self.log.open("w") as log:
                self.process = children.start("common.probing.server", file, name, folder, dtype, stderr=log, **about)
        except OSError as error:
            advice = "name the python of an environment"
            raise SideFailed(f"{self.python} cannot be started ({error.strerror}); {advice}") from None
        self._lines: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait(self) -> dict | None:
        """What it says when it is built."""
        return self._answer()

    def _answer(self, asked=""):
        end = time.monotonic() + self.timeout
        while True:
            try:
                line = self._lines.get(timeout=max(min(POLL, end - time.monotonic()), 0.0))
                break
            except queue.Empty:
                pass
            if self._has_ended():  # what it has started may hold its output open
                line = None
                break
            if time.monotonic() >= end:
                processes.end(self.process)
                self.gone = f"{self.what} gave no answer within {self.timeout:g} s; --timeout allows more"
                raise SideFailed(self.gone)
        if line is None or not line.endswith("\n"):
            self.gone = self._ending()
            raise SideFailed(self.gone)
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            raise SideFailed(
                f"{self.python} says {line.strip()!r:.80} instead of an answer; name the python of an environment"
            ) from None
        if "error" in found:
            raise SideFailed(f"{self.what}{asked}{found['error']}", found["lines"])
        return found["ok"]

    def _has_ended(self):
        """Without waiting for it, so that its group can still be ended."""
        if not hasattr(os, "waitid"):
            return self.process.poll() is not None
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _ending(self):
        """Why it is no more: an interpreter that cannot run us, or what it said last."""
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
            processes.end(self.process)
        code = self.process.wait()
        said = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        last = said[-1] if said else ""
        if "No module named 'numpy'" in last:
            return f"{self.python} has no NumPy, which a side needs in addition to its framework; install numpy there"
        if any("unknown option: -p" in line.lower() or "no module named common" in line.lower() for line in said):
            return f"{self.python} is older than Python 3.11; name a newer one"
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"the process of {self.what} ended with {how}{f': {last}' if last else ''}"

    def ask(self, do: str, arrays: Arrays | None = None, **request: object) -> tuple[Any, Arrays]:
        """(answer, arrays) of one request."""
        if self.gone:
            raise SideFailed(self.gone)
        if arrays is not None:
            request["arrays"] = tensors.give(self.folder, arrays)
        try:
            self.process.stdin.write(json.dumps({"do": do} | request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # why it ended is said by the answer that does not come
        answer = self._answer(f", asked for {do},")
        if not isinstance(answer, dict) or "arrays" not in answer:
            return answer, {}
        return answer, tensors.take(self.folder, answer.pop("arrays"))

    def describe(self) -> Description:
        return described(self.ask("describe")[0])

    def put(self, arrays: Arrays) -> None:
        self.ask("put", arrays)

    def get(self) -> Arrays:
        return self.ask("get")[1]


def read_inputs(
    children: Children, file: Path, folder: Path, timeout: float, python: str | None
) -> tuple[dict, Arrays]:
    """({"pins", "mode"}, {name: array}) of the user's file."""
    side = Side(children, file, "inputs", folder, "float64", timeout, python)
    answer = side.wait()
    return answer, tensors.read(folder / answer["arrays"])
