"""The TensorFlow column, with Keras 3 layers: one file per model, and `engine.py` for what does not depend on it."""
