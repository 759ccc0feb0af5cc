"""What people run: the commands, and what they write. The only room that may import backends and benchmarks."""
