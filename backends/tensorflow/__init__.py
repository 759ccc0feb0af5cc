"""The TensorFlow, with Keras 3 layers column: one file per model, and `engine.py` for what does not depend on the model."""
