"""What Flax's users load: an Orbax checkpoint of the model's nnx state."""

from flax import nnx
from orbax import checkpoint

DTYPE = "jnp.{dtype}"

EXAMPLE = """\
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from orbax import checkpoint

jax.config.update("jax_enable_x64", "{dtype}" == "float64")

from model import create, {job}  # noqa: E402

model = create()
with checkpoint.StandardCheckpointer() as checkpointer:
    nnx.update(model, checkpointer.restore(Path("checkpoint").resolve(), nnx.state(model)))
model.eval()

random = np.random.default_rng(0)
{given}
images = {job}(model, given, {{}}) if "images" in given else {job}(model, given)
images = np.asarray(images)
print(images.shape)
"""


def save(column, folder):
    with checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / "checkpoint").resolve(), nnx.state(column.state.model))
