"""What the models are, without a framework: specifications, the NumPy oracle, data, training loop, comparison.

Nothing below this package imports a framework; `tests/test_isolation.py` proves it.
"""
