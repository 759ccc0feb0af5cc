"""google-deepmind/optax#571: Keras's Adam adds ε before the bias correction (ε̂), Optax's after it.

layer: optimizer · cause: place
"""


def inputs(rng):
    return {"x": rng.normal(size=(8, 6)), "y": rng.normal(size=(8, 3))}


def reference():
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    optimizer = keras.optimizers.Adam(1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7)
    return {"model": model, "loss": keras.losses.MeanSquaredError(), "optimizer": optimizer}


def port():
    import optax
    from flax import nnx
    from jax import numpy as jnp

    def loss(output, y):
        return jnp.mean((output - y) ** 2)

    return {"model": nnx.Linear(6, 3, rngs=nnx.Rngs(0)), "loss": loss, "optimizer": optax.adam(1e-3, eps=1e-7)}
