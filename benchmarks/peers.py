"""What a user would run without this project: the same VAE by Keras 3's `fit`, and by the loop of PyTorch's own examples.

The same sizes, batch, rates and images as `vae`; their own initial values and noise, so that nothing here is proven. Each as
its documentation has it, in a process that this project's engines have not set up.
"""

import os
from collections.abc import Callable

import numpy as np

MODES = {"fit": ("pytorch", "tensorflow", "jax"), "example": ("pytorch",)}  # by which frameworks
MODEL = "vae"
KERAS = {"pytorch": "torch", "tensorflow": "tensorflow", "jax": "jax"}


class Peer:
    """`run(count)` makes `count` updates, a multiple of `chunk`: an epoch, which is what `fit` and the example are asked for."""

    def __init__(self, mode: str, backend: str, batch: int, images: np.ndarray):
        pixels = images.reshape(len(images), -1).astype(np.float32) / 255  # (N, 784) in [0, 1]
        self.chunk = len(images) // batch
        pixels = pixels[: self.chunk * batch]
        self.epochs = fit(backend, pixels, batch) if mode == "fit" else example(pixels, batch)

    def run(self, count: int) -> None:
        self.epochs(count // self.chunk)


def fit(backend: str, pixels: np.ndarray, batch: int) -> Callable[[int], object]:
    """A function that trains so many epochs by keras.Model.fit, on Keras's backend for this framework."""
    os.environ["KERAS_BACKEND"] = KERAS[backend]
    import keras
    from keras import layers, ops

    class VAE(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = layers.Dense(400, activation="relu")
            self.mean, self.logvar = layers.Dense(20), layers.Dense(20)
            self.decoder = keras.Sequential([layers.Dense(400, activation="relu"), layers.Dense(784)])
            self.random = keras.random.SeedGenerator(0)

        def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
            h = self.hidden(x)
            mean, logvar = self.mean(h), self.logvar(h)
            z = mean + ops.exp(logvar / 2) * keras.random.normal(ops.shape(mean), seed=self.random)
            logits = self.decoder(z)
            bce = ops.sum(ops.binary_crossentropy(x, logits, from_logits=True))
            self.add_loss(bce - 0.5 * ops.sum(1 + logvar - mean**2 - ops.exp(logvar)))
            return logits

    model = VAE()
    model.compile(optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-8))
    return lambda epochs: model.fit(pixels, batch_size=batch, epochs=epochs, verbose=0)


def example(pixels: np.ndarray, batch: int) -> Callable[[int], None]:
    """A function that trains so many epochs as pytorch/examples' vae/main.py does: a DataLoader over single images, eager
    steps, the loss read back after each."""
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, TensorDataset

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc21, self.fc22 = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
            self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            h = F.relu(self.fc1(x))
            mean, logvar = self.fc21(h), self.fc22(h)
            std = torch.exp(0.5 * logvar)
            z = mean + torch.randn_like(std) * std
            return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mean, logvar

    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(torch.from_numpy(pixels)), batch_size=batch, shuffle=True)

    def train(epochs: int) -> None:
        model.train()
        for _ in range(epochs):
            for (x,) in loader:
                optimizer.zero_grad()
                decoded, mean, logvar = model(x)
                bce = F.binary_cross_entropy(decoded, x, reduction="sum")
                loss = bce - 0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())
                loss.backward()
                loss.item()
                optimizer.step()

    return train
