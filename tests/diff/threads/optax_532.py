"""google-deepmind/optax#532: RMSprop adds ε inside the root in Optax, outside of it in PyTorch.

layer: optimizer · cause: place
"""


def inputs(rng):
    return {"x": rng.normal(size=(8, 6)), "y": rng.normal(size=(8, 3))}


def reference():
    import torch
    from torch import nn

    model = nn.Linear(6, 3)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-2, alpha=0.9, eps=1e-8)
    return {"model": model, "loss": nn.functional.mse_loss, "optimizer": optimizer}


def port():
    import optax
    from flax import nnx
    from jax import numpy as jnp

    def loss(output, y):
        return jnp.mean((output - y) ** 2)

    return {
        "model": nnx.Linear(6, 3, rngs=nnx.Rngs(0)),
        "loss": loss,
        "optimizer": optax.rmsprop(1e-2, decay=0.9, eps=1e-8),
    }
