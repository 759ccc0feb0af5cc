"""The JAX column, with Flax nnx and Optax: one file per model, and `engine.py` for what does not depend on it."""
