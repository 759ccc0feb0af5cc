"""The JAX, with Flax nnx and Optax column: one file per model, and `engine.py` for what does not depend on the model."""
