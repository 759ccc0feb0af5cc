"""What the models are, and what judges them: specifications, the NumPy oracle, data, parity, checkpoints.

Only `common.tools`, what people run, knows of `backends` and `benchmarks`; the rest imports no framework and neither of
them (`tests/spec/test_rooms.py`).
"""
