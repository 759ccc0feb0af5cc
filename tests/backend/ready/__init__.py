"""What a framework without a GPU can tell of a model on one: a file each, whose `findings(spec, module)` lists what a GPU would refuse
or be slowed by in a float32 column, in words, and is empty where there is nothing. `module` is the model file to look at."""

BATCH, COUNT = 8, 3  # rows of a step, and steps of a call
