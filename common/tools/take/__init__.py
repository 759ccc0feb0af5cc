"""The `take` command: one model in one framework as a single file that needs that framework and NumPy alone.

What the model is are the lines of our model file: networks, losses, updates, coding and sampling. What stands around them is
what the framework's users write: its optimisers, a training loop, saving; `take/pytorch.py` and its three siblings have it. Branches that the
specification decides are decided, and numbers stand where they are used.

The file shows two hooks, `initialize` (the weights) and `draw_noise` (the random numbers of a step), by which it can be held
to the specification: with our weights, batches and noise its losses are the oracle's.
"""

import ast
import importlib
import importlib.util
import shutil
import subprocess
from pathlib import Path

import backends
from common.checkpoint import write_atomically
from common.errors import UsageError
from common.specs import SPECS
from common.specs.records import Spec
from common.tools.take.around import data, is_mnist, noise, training
from common.tools.take.lines import parts

CHANNELS = {1: "", 3: ", 3"}
IMPORTS = "import argparse\nimport gzip\nimport struct\nimport zlib\nfrom pathlib import Path\n\nimport numpy as np\n\n"


def take(spec: Spec, backend: str) -> str:
    """The source of the file. Raises UsageError if the formatter `ruff` is not installed."""
    around = importlib.import_module(f"common.tools.take.{backend}")
    found = parts(spec, backend, around)
    blocks = [
        _docstring(spec, backend) + around.IMPORTS + IMPORTS + _settings(spec) + around.SETTINGS,
        _banner("data") + data(spec),
        _banner("networks") + _join(found["terms"] + found["networks"]),
        _banner("forward, losses") + _join(found["forward, losses"]),
        _banner("train step") + _join([*found["updates"], found["create"], *found["train step"]]),
        _banner("coding, sampling") + _join(found["coding, sampling"]),
        _banner("weights, noise") + around.initialize(spec) + noise(spec, around),
        _banner("training") + training(spec, around) + _main(spec),
    ]
    return _formatted("\n\n".join(blocks))


def take_file(spec: Spec, backend: str, path: Path, *, notebook: bool) -> None:
    """Write it, as a file of Python or as a `notebook`. Raises UsageError as `take` does, for a variant, and for a notebook of a
    model whose data cannot be downloaded."""
    if spec.name not in SPECS:
        raise UsageError(f"{spec.name} is a variant; choose one of: {', '.join(SPECS)}")
    text = take(spec, backend)
    if notebook:
        from common.tools.take.notebook import notebook_of

        text = notebook_of(spec, backend, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())


# ------------------------------------------------------------------------------------ its head, its end


def _docstring(spec, backend):
    title = f"{spec.about.title}, in {backends.TITLES[backend]}."
    return f'''"""{title}

{spec.about.source}. Taken from Tetrapla's model `{spec.name}`, under the Apache License 2.0.

    python {file_name(spec, backend)} {"mnist" if is_mnist(spec) else "images.npz"}

{_where(spec)}
"""

'''


def file_name(spec: Spec, backend: str) -> str:
    """vae_pytorch.py."""
    return f"{spec.name}_{backend}.py"


def _where(spec):
    if is_mnist(spec):
        return (
            "`mnist` is a folder with MNIST's files train-images-idx3-ubyte and train-labels-idx1-ubyte, or others of their format, as\n"
            "they are or compressed (.gz)."
        )
    channels, *sides = spec.images.picture
    size = " × ".join(map(str, sides)) + (" × 3" if channels == 3 else "")
    return (
        f"`images.npz` holds `images`, uint8 (N, {', '.join(map(str, sides))}{CHANNELS[channels]}): pictures of {size}."
    )


def _settings(spec):
    training = spec.training
    steps = training.steps or training.epochs * (60_000 // training.batch_size)
    return f"BATCH, STEPS, SEED = {training.batch_size}, {steps:_}, 0\n"


def _banner(name):
    return "# " + "-" * (98 - len(name)) + f" {name}\n\n\n"


def _join(texts):
    ones = [text for k, text in enumerate(texts) if text not in texts[:k]]
    constants = [text for text in ones if isinstance(ast.parse(text).body[-1], ast.Assign)]
    return (
        "\n".join(constants) + "\n\n\n" * bool(constants) + "\n\n\n".join(o for o in ones if o not in constants) + "\n"
    )


def _main(spec):
    taken = "data" if is_mnist(spec) else "images"
    help_ = "folder of MNIST's files" if is_mnist(spec) else "file of NumPy's with images"
    return f'''


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\\n")[0])
    parser.add_argument("{taken}", help="{help_}")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training (%(default)s)")
    given = parser.parse_args()
    data = load(given.{taken})
    model, _ = train(*data, steps=given.steps)
    save(model, "{spec.name}")
    save_pictures("{spec.name}.png", {"pictures(model)" if spec.sample else "pictures(model, *data)"})


if __name__ == "__main__":
    main()
'''


# --------------------------------------------------------------------------------------- formatter


def _formatted(text):
    """By ruff, which also sorts the imports and drops those that nothing uses. Raises UsageError if it is not there."""
    program = ruff()
    for words in (["check", "--select", "I,F401", "--fix", "--quiet"], ["format", "--quiet"]):
        command = [program, *words, "--isolated", "--line-length", "120", "--target-version", "py311", "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


def ruff() -> str:
    """Its program: on the path, or in the environment that its package is found in."""
    package = importlib.util.find_spec("ruff")
    places = [Path(package.origin).parents[4] / folder / "ruff" for folder in ("bin", "Scripts")] if package else []
    found = shutil.which("ruff") or next((str(place) for place in places if place.exists()), None)
    if found is None:
        raise UsageError("take needs the formatter ruff; install it with: pip install 'tetrapla[take]'")
    return found
