"""Throughput of every model in every backend, next to a lower bound that no backend can beat: `tetrapla bench`."""
