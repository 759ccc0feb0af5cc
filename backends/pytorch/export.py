"""What PyTorch's users load: a state_dict in safetensors."""

from backends.pytorch import process  # noqa: F401  # isort: skip

from safetensors.torch import save_file

DTYPE = "torch.{dtype}"

EXAMPLE = """\
import numpy as np
import torch
from safetensors.torch import load_file

from model import create, {job}

model = create()
model.load_state_dict(load_file("model.safetensors"))
model.eval()

random = np.random.default_rng(0)
{given}
given = {{name: torch.from_numpy(value) for name, value in given.items()}}
with torch.no_grad():
    images = {job}(model, given, {{}}) if "images" in given else {job}(model, given)
images = images.numpy()
print(images.shape)
"""


def save(column, folder):
    save_file(
        {name: value.contiguous() for name, value in column.state.model.state_dict().items()},
        folder / "model.safetensors",
    )
