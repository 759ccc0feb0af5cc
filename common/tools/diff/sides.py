"""The judge's end of a side: a process that is asked, with a time limit, and that never outlives the judge."""

import json
import os
import queue
import subprocess
import sys
import threading
import uuid
from pathlib import Path

from common.errors import TetraplaError
from common.probing import Arrays, Description, described, tensors
from common.processes import Children


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
        about = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "python": python or sys.executable}
        with self.log.open("w") as log:
            self.process = children.start("common.probing.server", file, name, folder, dtype, stderr=log, **about)
        self._lines: queue.SimpleQueue = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait(self) -> dict | None:
        """What it says when it is built."""
        return self._answer()

    def _answer(self):
        try:
            line = self._lines.get(timeout=self.timeout)
        except queue.Empty:
            self.process.kill()
            raise SideFailed(f"{self.what} gave no answer within {self.timeout:g} s; --timeout allows more") from None
        if line is None:
            code = self.process.wait()
            last = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()][-1:]
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise SideFailed(f"the process of {self.what} ended with {how}{f': {last[0]}' if last else ''}")
        found = json.loads(line)
        if "error" in found:
            raise SideFailed(f"{self.what}: {found['error']}", found["lines"])
        return found["ok"]

    def ask(self, do: str, arrays: Arrays | None = None, **request):
        """(answer, arrays) of one request."""
        if arrays is not None:
            request["arrays"] = f"{uuid.uuid4().hex}.tensors"
            tensors.write(self.folder / request["arrays"], arrays)
        try:
            self.process.stdin.write(json.dumps({"do": do} | request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # why it ended is said by the answer that does not come
        answer = self._answer()
        if not isinstance(answer, dict) or "arrays" not in answer:
            return answer, {}
        path = self.folder / answer.pop("arrays")
        found = tensors.read(path)
        os.unlink(path)
        return answer, found

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
