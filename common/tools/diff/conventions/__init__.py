"""The conventions by which frameworks differ, in NumPy: what `diff` proves causes by.

    layers     run(kind, settings, ...): a layer's outputs in float64 under any settings; KNOBS: what else its settings may be
    explain    explain(...): the settings under which NumPy gives these outputs; differing(...): those of two sides that matter
    glue       explain_glue(...): plain functions between layers
    losses     explain_loss(...): which loss gives this value and this gradient
    updates    run(...), explain_update(...): optimisers

Settings are those of `common.probing.KINDS` and of the functions here, whose defaults mean "canonical". Two more are known of
every kind: "activation", {"name": ...}, of what a layer applies to its result, and "float32", the names of its settings that
pass through float32.
"""
