"""The PaddlePaddle column, as static Programs: a file per model, and what does not depend on it: process, optimizer, steps ..."""
