"""What the specifications run on: NumPy in float64, differentiated by the `autograd` package.

This is the oracle, the fifth column: it shares no code with any of the four frameworks.
"""
