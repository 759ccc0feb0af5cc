"""The TensorFlow column, with Keras 3 layers: a file per model, and what does not depend on it: process, optimizer, steps ..."""
