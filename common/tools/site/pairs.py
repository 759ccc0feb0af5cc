"""What a page for two frameworks shows: how this project says the same thing in both, in the lines of the real files."""

from dataclasses import dataclass

from backends import BACKENDS
from common.tools import sections
from common.tools.site.pages import read

Places = tuple[tuple[str, str], ...]  # (file in the backend's folder, definition in it)


@dataclass(frozen=True)
class Topic:
    """One thing that every framework has a way of saying, and where each implementation says it."""

    title: str
    about: str
    places: dict[str, Places]

    def snippets(self, backend: str) -> list[tuple[str, str, int, int]]:
        """(file of the repository, definition, first line, last line). Raises UsageError where one is not found."""
        found = []
        for file, name in self.places[backend]:
            path = f"backends/{backend}/{file}"
            found.append((path, name, *sections.find(read(path), name, path)))
        return found


def _everywhere(file: str, *names: str) -> dict[str, Places]:
    return _each(**dict.fromkeys(BACKENDS, (file, *names)))


def _each(**places: tuple[str, ...]) -> dict[str, Places]:
    """A file and the definitions in it for each backend; more files after it, each with theirs."""
    found = {}
    for backend, words in places.items():
        found[backend], file = (), ""
        for word in words:
            if word.endswith(".py"):
                file = word
            else:
                found[backend] += ((file, word),)
    return found


# What the first page shows: one training step, down to the gradients.
STEP = Topic(
    "A train step",
    "",
    _each(
        pytorch=("vae.py", "train_step", "optimizer.py", "update"),
        tensorflow=("vae.py", "train_step", "optimizer.py", "update"),
        paddle=("vae.py", "train_step", "build"),
        jax=("vae.py", "train_step", "optimizer.py", "update"),
    ),
)

TOPICS = (
    Topic(
        "Dense layers",
        "A network with two heads: the encoder of the variational autoencoder.",
        _everywhere("vae.py", "Encoder"),
    ),
    Topic(
        "Convolutions, flattening, batch norm",
        "The trunk of InfoGAN's discriminator, whose images are NCHW in two frameworks and NHWC in the others.",
        _each(
            pytorch=("infogan.py", "Trunk", "exact.py", "BatchNorm"),
            tensorflow=("infogan.py", "Trunk", "batch_norm", "layouts.py", "to_nchw"),
            paddle=("infogan.py", "Trunk", "exact.py", "BatchNorm"),
            jax=("infogan.py", "Trunk", "batch_norm", "layouts.py", "to_nchw"),
        ),
    ),
    Topic(
        "Dropout",
        "The adversarial autoencoder's: masks are noise that is handed to the network.",
        _everywhere("terms.py", "dropout", "aae.py", "Encoder.__init__"),
    ),
    Topic("Losses", "Cross-entropy on logits, and the divergence of the code.", _everywhere("vae.py", "losses")),
    Topic(
        "A train step",
        "One optimiser. In Paddle the step is a Program, which `build` writes and `train_step` runs.",
        _each(
            pytorch=("vae.py", "build", "train_step", "optimizer.py", "update"),
            tensorflow=("vae.py", "build", "train_step", "optimizer.py", "update"),
            paddle=("vae.py", "build", "train_step"),
            jax=("vae.py", "build", "train_step", "optimizer.py", "update"),
        ),
    ),
    Topic(
        "A train step of two networks",
        "The discriminator's update, then the generator's, each moving its own network.",
        _everywhere("gan.py", "build", "train_step"),
    ),
    Topic(
        "Adam",
        "Algorithm 1 of its paper, with every number passed, restricted to some networks.",
        _each(
            pytorch=("optimizer.py", "adam", "_parameters"),
            tensorflow=("optimizer.py", "Adam", "_parameters"),
            paddle=("optimizer.py", "adam", "parameters", "exact.py", "number", "CoupledL2"),
            jax=("optimizer.py", "adam", "_restricted", "transformation"),
        ),
    ),
    Topic(
        "Randomness",
        "Seeds made from (seed, step), and the four distributions that the models draw from.",
        _each(
            pytorch=("noise.py", "Draws"),
            tensorflow=("noise.py", "Draws"),
            paddle=("noise.py", "seeds", "drawn", "_draw"),
            jax=("noise.py", "key", "draws", "_draw"),
        ),
    ),
    Topic(
        "Compiling, and many steps in one call",
        "The path that training takes: the data on the device, inputs gathered and scaled in each step.",
        _each(
            pytorch=("steps.py", "gather", "Steps", "column.py", "Column.train_steps"),
            tensorflow=("steps.py", "gather", "Steps"),
            paddle=("steps.py", "Program.inputs", "State.run", "column.py", "Column.train_steps"),
            jax=("steps.py", "gather", "Compiled", "Steps"),
        ),
    ),
    Topic(
        "Names and layouts of parameters",
        "From the canonical names and axes, which are PyTorch's, to the framework's own.",
        _each(
            pytorch=("layouts.py", "BUFFERS", "statistics"),
            tensorflow=("layouts.py", "LAYOUTS", "variables", "canonical"),
            paddle=("layouts.py", "AXES", "named", "Layouts"),
            jax=("layouts.py", "LAYOUTS", "Places"),
        ),
    ),
    Topic(
        "Taking up saved values",
        "Parameters, running statistics, Adam's moments and its count of steps, from a checkpoint of any framework.",
        _each(
            pytorch=("column.py", "Column.restore", "optimizer.py", "begin", "layouts.py", "write"),
            tensorflow=("column.py", "Column.restore", "optimizer.py", "begin", "layouts.py", "write"),
            paddle=("column.py", "Column.restore", "Column._write", "optimizer.py", "powers"),
            jax=("column.py", "Column.restore", "optimizer.py", "begin"),
        ),
    ),
    Topic(
        "Saving and loading in the framework's own format",
        "What `tetrapla convert` writes, and the lines that load it without this project.",
        _everywhere("export.py", "save", "EXAMPLE"),
    ),
)
