"""`tetrapla diff`: where somebody's port parts from its original, and why, proven.

sides.py        the two processes, asked through common.probing
matching.py     which layer is which
numbers.py      deviations, bars, random tensors
judge.py        the stages in order: before.py what is declared, layers.py a forward pass, training.py the rest; pair.py what they share
conventions/    every layer, loss and update in NumPy, under each known convention
causes.py       what explains both sides; gaps.py between layers
verdict.py      what was found
initial.py      whether both sides start from the same distributions: a note
report.py       the tree on the terminal, and what is said in words
page.py         verdict.json, page.html; repro.py a few lines that show the difference without us
"""
