"""The PyTorch column: one file per model, and `engine.py` for what does not depend on it."""
