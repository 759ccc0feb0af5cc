"""One side of `tetrapla diff` in a process of its own: builds the user's model and answers the judge.

    python -P -m common.probing.server FILE FUNCTION FOLDER DTYPE

FUNCTION is "reference" or "port", or "inputs", which draws the inputs and ends. Requests are lines of JSON on standard input,
{"do": method of the probe, ...arguments}; what is an array travels in files of FOLDER (common.probing.tensors), which the
reader deletes. Each is answered by one line on the standard output that the process was started with: {"ok": value} or
{"error": line, "lines": the user's part of a traceback}. What the user's code prints goes to standard error.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from common.probing import tensors, user
from common.probing.side import INPUTS, Side
from common.probing.startup import prepare


def main() -> None:
    file, name, folder, dtype = Path(sys.argv[1]).resolve(), sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the user's code prints, and what libraries write past Python

    hidden, side, did = user.hide(), None, "raised"

    def say(work: Callable[[], object]) -> None:
        try:
            line = json.dumps({"ok": work()})
        except (Exception, SystemExit) as error:
            line = json.dumps(user.said(error, file, name, did))
        print(line, file=answers, flush=True)

    def draw() -> dict:
        module = user.load(file)
        tensors.write(folder / INPUTS, user.draw(module, file))
        return {"arrays": INPUTS, "pins": getattr(module, "pins", {}), "mode": getattr(module, "mode", "train")}

    def build() -> None:
        nonlocal side, did
        prepare(dtype)
        found = user.built(file, name)
        did = "returned what cannot be taken up:"
        side = Side(found, file, name, folder, dtype, hidden)
        did = "raised"

    if name == "inputs":
        return say(draw)
    say(build)
    if side is None:
        return None
    for line in sys.stdin:
        say(lambda line=line: side.answer(json.loads(line)))


if __name__ == "__main__":
    main()
