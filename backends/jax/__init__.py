"""The JAX column, with Flax nnx and Optax: a file per model, and what does not depend on it: process, optimizer, noise, steps,
column ..."""
