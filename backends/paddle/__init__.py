"""The PaddlePaddle column, as static Programs: one file per model, and `engine.py` for what does not depend on it."""
