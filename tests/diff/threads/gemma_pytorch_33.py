"""google/gemma_pytorch#33: the original's GELU is the approximation by tanh, the port's is exact.

layer: down · cause: approximate
"""


def inputs(rng):
    return {"x": rng.normal(size=(6, 16))}


def reference():
    from flax import nnx

    class MLP(nnx.Module):
        def __init__(self, rngs):
            self.gate = nnx.Linear(16, 32, rngs=rngs)
            self.down = nnx.Linear(32, 16, rngs=rngs)

        def __call__(self, x):
            return self.down(nnx.gelu(self.gate(x)))  # approximate=True unless told otherwise

    return {"model": MLP(nnx.Rngs(0))}


def port():
    from torch import nn
    from torch.nn import functional as F

    class MLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.down = nn.Linear(16, 32), nn.Linear(32, 16)

        def forward(self, x):
            return self.down(F.gelu(self.gate(x)))

    return {"model": MLP()}
