"""What a page for two frameworks shows: how this project says the same thing in both, in the lines of the real files."""

from dataclasses import dataclass

from common.tools import sections
from common.tools.site.pages import read

Places = tuple[tuple[str, str], ...]  # (file in the backend's folder, definition in it)


@dataclass(frozen=True)
class Topic:
    """One thing that every framework has a way of saying, and where each column says it."""

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
    places = tuple((file, name) for name in names)
    return dict.fromkeys(("pytorch", "tensorflow", "paddle", "jax"), places)


def _engine(**names: tuple[str, ...]) -> dict[str, Places]:
    return {backend: tuple(("engine.py", name) for name in found) for backend, found in names.items()}


TOPICS = (
    Topic(
        "Dense layers",
        "A network with two heads: the encoder of the variational autoencoder.",
        _everywhere("vae.py", "Encoder"),
    ),
    Topic(
        "Convolutions, flattening, batch norm",
        "The trunk of InfoGAN's discriminator, whose images are NCHW in two frameworks and NHWC in the others.",
        {
            "pytorch": (("infogan.py", "Trunk"), ("infogan.py", "BatchNorm")),
            "tensorflow": (("infogan.py", "Trunk"), ("infogan.py", "batch_norm"), ("infogan.py", "to_nchw")),
            "paddle": (("infogan.py", "Trunk"), ("infogan.py", "BatchNorm")),
            "jax": (("infogan.py", "Trunk"), ("infogan.py", "batch_norm"), ("infogan.py", "to_nchw")),
        },
    ),
    Topic(
        "Dropout",
        "The adversarial autoencoder's: masks are noise that is handed to the network.",
        _everywhere("aae.py", "dropout", "Encoder.__init__"),
    ),
    Topic("Losses", "Cross-entropy on logits, and the divergence of the code.", _everywhere("vae.py", "losses")),
    Topic(
        "A train step",
        "One optimiser. In Paddle the step is a Program, which `build` writes and `train_step` runs.",
        _everywhere("vae.py", "build", "train_step"),
    ),
    Topic(
        "A train step of two networks",
        "The discriminator's update, then the generator's, each moving its own network.",
        _everywhere("gan.py", "build", "train_step", "update")
        | {"paddle": (("gan.py", "build"), ("gan.py", "train_step"))},
    ),
    Topic(
        "Adam",
        "Algorithm 1 of its paper, with every number passed, restricted to some networks.",
        _engine(
            pytorch=("adam",),
            tensorflow=("Adam",),
            paddle=("adam", "number", "CoupledL2", "parameters"),
            jax=("adam", "_transformation"),
        ),
    ),
    Topic(
        "Randomness",
        "Seeds made from (seed, step), and the four distributions that the models draw from.",
        _engine(
            pytorch=("Column._draw", "Column._draw_one"),
            tensorflow=("Column._draw", "Column._draw_one"),
            paddle=("Column._seed", "_draw_one"),
            jax=("Compiled._draw", "Compiled._draw_one"),
        ),
    ),
    Topic(
        "Compiling, and many steps in one call",
        "The path that training takes: the data on the device, a batch gathered and scaled in each step.",
        _engine(
            pytorch=("Column.train_steps",),
            tensorflow=("Column.train_steps", "Column._compiled_steps", "Column._one_of_many"),
            paddle=("Column.train_steps", "State.run"),
            jax=("Column.train_steps", "Column._train", "Compiled.step", "Compiled.one", "Compiled.steps"),
        ),
    ),
    Topic(
        "Names and layouts of parameters",
        "From the canonical names and axes, which are PyTorch's, to the framework's own.",
        _engine(
            pytorch=("BUFFERS", "Column._statistics"),
            tensorflow=("LAYOUTS", "Column._parameters"),
            paddle=("AXES", "named", "Column._canonical"),
            jax=("LAYOUTS", "Column._variables", "Column._canonical"),
        ),
    ),
    Topic(
        "Taking up saved values",
        "Parameters, running statistics, Adam's moments and its count of steps, from a checkpoint of any framework.",
        _engine(
            pytorch=("Column.restore", "_copy"),
            tensorflow=("Column.restore",),
            paddle=("Column.restore", "Column._set"),
            jax=("Column.restore", "Column._write"),
        ),
    ),
    Topic(
        "Saving and loading in the framework's own format",
        "What `tetrapla convert` writes, and the lines that load it without this project.",
        _everywhere("export.py", "save", "EXAMPLE"),
    ),
)
