"""Throughput of every model in every backend, beside a floor that no backend can beat: `tetrapla bench`."""
