"""Sides that outlive a verdict: a process for each framework and float type, so that a hundred verdicts import each once.

    python -m tests.diff.kept DTYPE        lines {"id": side, "new": [FILE, FUNCTION, FOLDER]}, {"id": ..., "do": ...}, {"id": ..., "end": true}

Everything else is as in common.probing.server, whose own class answers. What `tetrapla diff` itself does, a process for each side, is
tested by test_diff.py.
"""

import contextlib
import gc
import itertools
import json
import os
import sys
from pathlib import Path

from common.probing import side as probing
from common.probing import startup, tensors, user
from common.processes import Children
from common.tools.diff import judge, sides

IDS = itertools.count()


class Process:
    """That of a framework; the judge may not end it."""

    def __init__(self, children: Children, dtype: str, log: Path):
        about = {"stdin": -1, "stdout": -1, "text": True}
        with log.open("a") as errors:
            self.child = children.start("tests.diff.kept", dtype, stderr=errors, **about)

    def said(self, request: dict):
        self.child.stdin.write(json.dumps(request) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise sides.SideFailed(f"the process ended with {self.child.wait()}")
        found = json.loads(line)
        if "error" in found:
            raise sides.SideFailed(found["error"], found["lines"])
        return found["ok"]

    def kill(self):
        pass


class Kept(sides.Side):
    """A side in one of those processes. `frameworks` {function: framework} and `processes` are set by `keeping`."""

    frameworks: dict = {}
    processes: dict = {}
    children: Children
    log: Path
    made: list = []

    def __init__(self, children, file, name, folder, dtype, timeout, python=None):
        self.name, self.folder, self.id = name, folder, next(IDS)
        key = self.frameworks[name], dtype
        if key not in self.processes:
            self.processes[key] = Process(self.children, dtype, self.log)
        self.process, self.about = self.processes[key], [str(file), name, str(folder)]
        self.made.append(self)

    def wait(self):
        return self.process.said({"id": self.id, "new": self.about})

    def ask(self, do, arrays=None, **request):
        if arrays is not None:
            request["arrays"] = tensors.give(self.folder, arrays)
        answer = self.process.said({"id": self.id, "do": do} | request)
        if not isinstance(answer, dict) or "arrays" not in answer:
            return answer, {}
        return answer, tensors.take(self.folder, answer.pop("arrays"))


@contextlib.contextmanager
def keeping(log: Path):
    """Inside, judge.diff uses such sides; `log` takes what they say."""
    before = judge.Side, sides.Side
    with Children() as children:
        Kept.children, Kept.log, Kept.processes = children, log, {}
        judge.Side = sides.Side = Kept
        try:
            yield
        finally:
            judge.Side, sides.Side = before
            Kept.made.clear()  # they end with their processes


def between(reference: str, port: str) -> None:
    """The frameworks of the next verdict; what the last one made is dropped."""
    for side in Kept.made:
        with contextlib.suppress(sides.SideFailed):
            side.process.said({"id": side.id, "end": True})
    Kept.made.clear()
    Kept.frameworks = {"inputs": reference, "reference": reference, "port": port}


def main() -> None:
    answers, dtype, hidden, here = os.fdopen(os.dup(1), "w"), sys.argv[1], user.hide(), {}
    os.dup2(2, 1)
    startup.prepare(dtype)
    for line in sys.stdin:
        request = json.loads(line)
        key, file, name = request.pop("id"), Path("/"), "side"
        try:
            if "new" in request:
                file, name, folder = (part if k == 1 else Path(part) for k, part in enumerate(request["new"]))
                found = _new(here, key, file, name, folder, dtype, hidden)
            elif "end" in request:
                here.pop(key, None)
                gc.collect()
                found = None
            else:
                found = here[key].answer(request)
            said = {"ok": found}
        except Exception as error:
            said = user.said(error, file, name)
        print(json.dumps(said), file=answers, flush=True)


def _new(here, key, file, name, folder, dtype, hidden):
    if name != "inputs":
        here[key] = probing.Side(user.built(file, name), file, name, folder, dtype, hidden)
        return None
    tensors.write(folder / probing.INPUTS, user.draw(user.load(file), file))
    return {"arrays": probing.INPUTS, "pins": {}, "mode": "train"}


if __name__ == "__main__":
    main()
