"""What `tetrapla diff` says of a file, a side or an interpreter that it cannot use: one line that names it and what to do, exit code 2,
and nothing left behind. The sides are plain.py's, in NumPy alone."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from common.environment import ROOT
from common.tools import cli

HEAD = f"""
import sys

import numpy as np

sys.path.insert(0, {str(ROOT)!r})
from tests.diff import plain


def inputs(rng):
    return {{"x": rng.normal(size=(4, 3)), "y": rng.normal(size=(4, 2))}}


def reference():
    return plain.side()


def port():
    return plain.side()

"""


@pytest.fixture
def say(tmp_path, monkeypatch, capsys):
    """say(what the file adds to HEAD, options) -> (exit code, what standard error has), and looks for what is left."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "here")

    def run(text, *options, head=HEAD, name="mine.py", write=True):
        file = tmp_path / "here" / name
        if write:
            content = head + textwrap.dedent(text)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        monkeypatch.setattr(sys, "argv", ["tetrapla", "diff", str(file), *map(str, options)])
        before = {one.pid for one in psutil.Process().children(recursive=True)}
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert {one.pid for one in psutil.Process().children(recursive=True)} <= before
        assert not list((tmp_path / "temporary").iterdir())
        said = capsys.readouterr()
        if ended.value.code == 2 and not said.out:
            assert said.err.splitlines()[-1].startswith("error: ") and said.err.count("error: ") == 1
        return ended.value.code, said.err, said.out

    return run


def test_two_sides_that_are_equal(say, tmp_path):
    code, _, out = say("", "--out", tmp_path / "out")
    assert code == 0 and "equal" in out
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["page.html", "verdict.json"]


FILES = {
    "no inputs": ("del inputs", "expected a function inputs(rng), which is not there; add it"),
    "inputs is no function": ("inputs = 3", "expected a function inputs(rng), which is of type int there"),
    "no port": ("del port", "expected a function port(), which is not there; add it"),
    "not Python": ("this is not (", "expected Python, found: "),
    "a null": ("\0", "expected Python, found: "),
    "it ends": ("sys.exit('bye')", "inputs() ended its process by sys.exit('bye'); it is to return"),
    "no dict": ("inputs = lambda rng: 3", "inputs(rng) is to return a dict of arrays, not int"),
    "objects": ("inputs = lambda rng: {'x': [object()]}", "is to return arrays of numbers; x has object"),
    "complex": ("inputs = lambda rng: {'x': 1j}", "is to return arrays of numbers; x has complex128"),
    "NaN": ("inputs = lambda rng: {'x': np.full((2, 3), np.nan)}", "the input x is not finite everywhere; inputs(rng) is to draw finite"),
    "pins are a list": ("pins = ['a']", "pins is ['a']; expected a dict of names of layers"),
    "pins are objects": ("pins = {3: object()}", "expected a dict of names of layers"),
    "an unknown pin": ("pins = {'nothing': 'layer'}", "nothing"),
    "an unknown mode": ("mode = 'evaluate'", "mode is 'evaluate'; expected one of 'train', 'eval'"),
    "a mode that is no text": ("mode = object()", "expected one of 'train', 'eval'"),
    "nothing returned": ("port = lambda: None", "port() is to return dict(model=..., loss=..., optimizer=...), not NoneType"),
    "no model": ("port = lambda: {'loss': abs}", "port() returned no model"),
    "a model of no framework": ("port = lambda: {'model': [1]}", "returned a model of type builtins.list; expected a torch.nn.Module"),
    "a word of ours misspelt": ("port = lambda: plain.side() | {'optimzer': 1}", "port() returned 'optimzer', which means nothing; did you mean 'optimizer'?"),
    "a loss that cannot be called": ("port = lambda: plain.side() | {'loss': 3}", "the loss of port() is of type int; expected a function"),
    "a layout that is a text": ("port = lambda: plain.side() | {'layout': 'NHWC'}", "the layout of port() is 'NHWC'; expected a dict"),
    "a layout of nothing": ("port = lambda: plain.side() | {'layout': {'z': 'CN'}}", "names 'z'; expected inputs (x, y) or 'output'"),
    "a layout that does not fit": ("port = lambda: plain.side() | {'layout': {'x': 'NHWC'}}", "the layout 'NHWC' of x does not fit its 2 axes; expected the letters NC"),
    "a call of nothing": ("port = lambda: plain.side() | {'call': ('q',)}", "call names 'q', which inputs(rng) does not return; it returns x, y"),
    "a call that is a text": ("port = lambda: plain.side() | {'call': 'x'}", "the call of port() is 'x'; expected names of inputs"),
    "a function with arguments": ("port = lambda a: plain.side()", "port() raised TypeError: "),
    "a framework that is missing": ("def port():\n    raise ModuleNotFoundError(name='torch')", f"port() needs torch, which {sys.executable} cannot import; install torch there, or name another interpreter with --port-python"),
    "a framework that is missing, above": ("raise ModuleNotFoundError(name='jax')", "import it inside reference() or port()"),
    "a module that is missing": ("def port():\n    import not_there", "port() raised ModuleNotFoundError: No module named 'not_there'"),
    "the process ends": ("import os\nport = lambda: os._exit(3)", "the process of port() ended with exit code 3"),
    "sys.exit": ("port = lambda: sys.exit(0)", "port() ended its process by sys.exit(0); it is to return"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_judged(say, name):
    text, line = FILES[name]
    code, said, _ = say(text)
    assert code == 2
    assert line in said.splitlines()[-1], said
    assert "server.py" not in said and "common/" not in said.replace(sys.executable, "")


@pytest.mark.parametrize(
    "name, line", [("absent.py", "no such file; name a Python file"), ("mine.txt", "whose name ends with .py")]
)
def test_a_name_that_is_no_files(say, name, line):
    code, said, _ = say("", name=name, write=name == "mine.txt")
    assert code == 2 and line in said


def test_an_error_of_the_users_is_shown_by_the_users_lines(say):
    code, said, _ = say("""
        def port():
            return deeper()

        def deeper():
            import json
            return json.loads("{")
    """)
    *lines, last = said.splitlines()
    assert code == 2
    assert last == "error: port() raised JSONDecodeError: " + lines[-1].split(": ", 1)[1]
    assert [line.split(", ")[-1] for line in lines if line.startswith("  File")] == ["in port", "in deeper"]


STAGES = ("describe", "get", "put", "forward", "alone", "training", "loss", "gradients", "update", "train")


@pytest.mark.parametrize("stage", STAGES)
def test_a_side_that_is_killed(say, stage):
    code, said, _ = say(f"port = lambda: plain.side({stage!r})")
    assert (code, said) == (2, "error: the process of port() ended with signal 9\n")


@pytest.mark.parametrize("act", ("hang", "stop"))
def test_a_side_that_hangs(say, act):
    code, said, _ = say(f"reference = lambda: plain.side('gradients', {act!r})", "--timeout", 3)
    assert (code, said) == (2, "error: reference() gave no answer within 3 s; --timeout allows more\n")


def test_what_a_side_has_started_ends_with_it(say):
    """It holds the pipe of the answers open, and is no child of ours any more."""
    start = time.monotonic()
    code, said, _ = say("port = lambda: plain.side('loss', 'leave')", "--timeout", 60)
    assert code == 2 and time.monotonic() - start < 30
    assert "the process of port() ended with exit code 7: left " in said
    left = int(said.split()[-1])
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


def test_a_side_that_raises_later(say):
    code, said, _ = say("port = lambda: plain.side('loss', 'raise')")
    assert code == 2
    assert said.splitlines()[-1] == "error: port(), asked for loss, raised ValueError: no such axis"


def test_models_that_return_other_structures_are_different(say):
    code, said, out = say("port = lambda: plain.side(change=lambda y: {'0': y, '1': y})")
    assert code == 1, said
    assert "the models return other structures" in out and "['0', '1'] there" in out


def test_models_that_return_no_numbers_are_not_judged(say):
    code, _, out = say("reference = port = lambda: plain.side(change=lambda y: {'': np.full(y.shape, np.nan)})")
    assert code == 2 and out.rstrip().endswith("s)") and "not judged" in out and "finite" in out, out


INTERPRETERS = {
    "absent": (None, "no such interpreter; name the python of an environment"),
    "no program": ("not a program", "cannot be started (Exec format error); name the python"),
    "not Python": ("#!/bin/sh\necho hello\n", "says 'hello' instead of an answer; name the python of an environment"),
    "without NumPy": (f"#!/bin/sh\nexec {sys.executable} -I -S -c 'import numpy'\n", "has no NumPy, which a side needs in addition to its framework; install numpy there"),
    "old": ("#!/bin/sh\necho 'Unknown option: -P' >&2\nexit 2\n", "is older than Python 3.11; name a newer one"),
}  # fmt: skip


@pytest.mark.parametrize("name", INTERPRETERS)
def test_an_interpreter_that_cannot_be_used(say, name, tmp_path):
    content, line = INTERPRETERS[name]
    python = tmp_path / "python"
    if content is not None:
        python.write_text(content)
        python.chmod(0o755)
    code, said, _ = say("", "--reference-python", python)
    assert code == 2 and line in said


@pytest.mark.parametrize(
    "options, line",
    [
        (("--dtype", "float16"), "--dtype: expected float64 or float32"),
        (("--out", "mine.py"), "--out: mine.py cannot be a folder"),
    ],
)
def test_options_that_are_refused_at_once(say, options, line):
    code, said, _ = say("port = lambda: plain.side('describe')", *options)
    assert code == 2 and line in said


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_an_interruption_leaves_nothing(number, tmp_path):
    """While a side hangs."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "mine.py").write_text(HEAD + "reference = port = lambda: plain.side('forward', 'hang')\n")
    variables = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary")}
    command = [sys.executable, "-P", "-m", "common.tools.cli", "diff", "mine.py", "--out", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=-1, stderr=-1, text=True)
    own, end = psutil.Process(process.pid), time.monotonic() + 60
    while len(children := own.children(recursive=True)) < 2 and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(number)
    out, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert (out, said) == ("", "error: interrupted; nothing was judged, and nothing is left behind\n")
    assert not psutil.wait_procs(children, timeout=5)[1]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mine.py", "temporary"]
    assert not list((tmp_path / "temporary").iterdir())
