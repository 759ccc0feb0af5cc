"""PyTorch's part of test_layers: layers, a network, optimisers, and what PyTorch itself makes of them."""

from contextlib import contextmanager

import torch
from torch import nn

LACKS = ("reshape",)  # nn.Unflatten, which keeps what is before and after an axis, is not one


@contextmanager
def floats(dtype):
    """Floating-point numbers are `dtype` by default."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def native(value):
    """A canonical array as this framework's layers take it."""
    return value


def one(layer, shape, *, integers=0):
    """A case: a layer, the shape of its canonical input."""
    return {"layer": layer, "shape": shape, "images": True, "integers": integers}


IMAGE, LINE, CUBE, TIME = (2, 4, 7, 6), (2, 4, 9), (2, 3, 5, 4, 6), (2, 5, 6)
CASES = {
    "dense": [lambda: one(nn.Linear(4, 5), (3, 4)), lambda: one(nn.Linear(6, 5, bias=False), TIME)],
    "embedding": [lambda: one(nn.Embedding(11, 4), (2, 5), integers=11), lambda: one(nn.Embedding(11, 4, 3), (2, 5), integers=11)],
    "conv": [
        lambda: one(nn.Conv2d(4, 6, 3), IMAGE),
        lambda: one(nn.Conv2d(4, 6, (3, 2), (1, 2), (2, 0), bias=False), IMAGE),
        lambda: one(nn.Conv2d(4, 6, 3, padding="same", dilation=2, groups=2), IMAGE),
        lambda: one(nn.Conv2d(4, 6, (3, 2), padding="same"), IMAGE),
        lambda: one(nn.Conv2d(4, 8, 3, 2, 1, groups=4), IMAGE),
        lambda: one(nn.Conv2d(4, 6, 3, padding="valid"), IMAGE),
        lambda: one(nn.Conv2d(4, 6, 3, padding=(2, 1), padding_mode="reflect"), IMAGE),
        lambda: one(nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), IMAGE),
        lambda: one(nn.Conv2d(4, 6, 3, padding=1, padding_mode="replicate"), IMAGE),
        lambda: one(nn.Conv1d(4, 3, 3, 2, 1, 2), LINE),
        lambda: one(nn.Conv3d(3, 2, (2, 3, 2), padding=1), CUBE),
    ],
    "conv_transpose": [
        lambda: one(nn.ConvTranspose2d(4, 3, 4, 2, 1), IMAGE),
        lambda: one(nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2, bias=False), IMAGE),
        lambda: one(nn.ConvTranspose2d(4, 3, (3, 2), (2, 3), (0, 1), (1, 2), dilation=2), IMAGE),
        lambda: one(nn.ConvTranspose2d(4, 3, 3, 2, 0, 1), IMAGE),
        lambda: one(nn.ConvTranspose1d(4, 3, 5, 3, 2, 1), LINE),
        lambda: one(nn.ConvTranspose3d(3, 2, 3, 2, 1), CUBE),
    ],
    "batch_norm": [
        lambda: one(nn.BatchNorm2d(4), IMAGE),
        lambda: one(nn.BatchNorm1d(4, eps=0.1, momentum=0.3), (8, 4)),
        lambda: one(nn.BatchNorm1d(4, affine=False), LINE),
        lambda: one(nn.BatchNorm3d(3), CUBE),
    ],
    "layer_norm": [
        lambda: one(nn.LayerNorm(6), TIME),
        lambda: one(nn.LayerNorm((5, 6), eps=0.1), TIME),
        lambda: one(nn.LayerNorm(6, bias=False), TIME),
        lambda: one(nn.LayerNorm(6, elementwise_affine=False), TIME),
    ],
    "group_norm": [lambda: one(nn.GroupNorm(2, 4), IMAGE), lambda: one(nn.GroupNorm(2, 4, eps=0.1, affine=False), LINE)],
    "instance_norm": [lambda: one(nn.InstanceNorm2d(4), IMAGE), lambda: one(nn.InstanceNorm1d(4, eps=0.1, affine=True), LINE)],
    "rms_norm": [
        lambda: one(nn.RMSNorm(6, eps=0.1), TIME),
        lambda: one(nn.RMSNorm((5, 6)), TIME),
        lambda: one(nn.RMSNorm(6, elementwise_affine=False), TIME),
    ],
    "pool": [
        lambda: one(nn.MaxPool2d(2), IMAGE),
        lambda: one(nn.MaxPool2d((3, 2), 2, (1, 0)), IMAGE),
        lambda: one(nn.MaxPool2d(2, 2, ceil_mode=True), IMAGE),
        lambda: one(nn.MaxPool1d(3, 1, dilation=2), LINE),
        lambda: one(nn.MaxPool3d(2), CUBE),
        lambda: one(nn.AvgPool2d(3, 2, 1), IMAGE),
        lambda: one(nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE),
        lambda: one(nn.AvgPool2d((3, 2), divisor_override=5), IMAGE),
        lambda: one(nn.AvgPool1d(2, ceil_mode=True), LINE),
        lambda: one(nn.AvgPool3d(2, 1), CUBE),
    ],
    "adaptive_pool": [
        lambda: one(nn.AdaptiveAvgPool2d(1), IMAGE),
        lambda: one(nn.AdaptiveAvgPool2d((3, 4)), IMAGE),
        lambda: one(nn.AdaptiveMaxPool2d((3, 2)), IMAGE),
        lambda: one(nn.AdaptiveAvgPool1d(4), LINE),
        lambda: one(nn.AdaptiveMaxPool3d(2), CUBE),
    ],
    "dropout": [lambda: one(nn.Dropout(0.4), (3, 4))],
    "activation": [
        *(
            lambda layer=layer: one(layer(), (3, 4))
            for layer in (
                nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Sigmoid, nn.Tanh,
                nn.Hardsigmoid, nn.Hardswish, nn.Identity, nn.Mish, nn.LogSigmoid, nn.Softsign, nn.Hardtanh,
            )
        ),
        lambda: one(nn.LeakyReLU(0.3, inplace=True), (3, 4)),
        lambda: one(nn.ELU(0.7), (3, 4)),
        lambda: one(nn.GELU("tanh"), (3, 4)),
        lambda: one(nn.Softplus(2.0, 30.0), (3, 4)),
        lambda: one(nn.Softmax(1), TIME),
        lambda: one(nn.LogSoftmax(-1), TIME),
        lambda: one(nn.PReLU(), IMAGE),
        lambda: one(nn.PReLU(4), IMAGE),
    ],
    "lstm": [
        lambda: one(nn.LSTM(6, 3, batch_first=True), TIME),
        lambda: one(nn.LSTM(6, 3), TIME),
        lambda: one(nn.LSTM(6, 3, bias=False, batch_first=True), TIME),
    ],
    "gru": [lambda: one(nn.GRU(6, 3, batch_first=True), TIME), lambda: one(nn.GRU(6, 3), TIME)],
    "attention": [
        lambda: one(Itself(nn.MultiheadAttention(6, 2, batch_first=True)), TIME),
        lambda: one(Itself(nn.MultiheadAttention(6, 3, bias=False)), TIME),
        lambda: one(Itself(nn.MultiheadAttention(6, 2, kdim=6, vdim=6, batch_first=True)), TIME),
    ],
    "resize": [
        lambda: one(nn.Upsample(scale_factor=2), IMAGE),
        lambda: one(nn.Upsample((5, 9), mode="bilinear"), IMAGE),
        lambda: one(nn.Upsample((10, 9), mode="bilinear", align_corners=True), IMAGE),
        lambda: one(nn.Upsample(scale_factor=(2.0, 3.0), mode="nearest-exact"), IMAGE),
        lambda: one(nn.Upsample(7, mode="linear"), LINE),
        lambda: one(nn.Upsample(scale_factor=2, mode="trilinear"), CUBE),
        lambda: one(nn.UpsamplingBilinear2d(scale_factor=2), IMAGE),
        lambda: one(nn.UpsamplingNearest2d((5, 5)), IMAGE),
    ],
    "flatten": [lambda: one(nn.Flatten(), TIME), lambda: one(nn.Flatten(2), IMAGE)],
    "pad": [
        lambda: one(nn.ZeroPad2d((0, 3, 1, 2)), IMAGE),
        lambda: one(nn.ConstantPad1d((1, 2), 0.5), LINE),
        lambda: one(nn.ConstantPad3d(1, 2.0), CUBE),
        lambda: one(nn.ReflectionPad2d((1, 2, 3, 0)), IMAGE),
        lambda: one(nn.ReplicationPad2d((1, 2, 3, 0)), IMAGE),
        lambda: one(nn.CircularPad1d((2, 1)), LINE),
    ],
}  # fmt: skip


class Itself(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, x):
        return self.attention(x, x, x)[0]


def model(layer):
    """A model of this layer."""
    return layer if isinstance(layer, Itself) else nn.Sequential(layer)


# ------------------------------------------------------------------------------------------------ a network


def _pieces(rate):
    return [
        nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(5), nn.MaxPool2d(2), nn.Dropout(rate), nn.Flatten(), nn.Dropout(rate),
        nn.Linear(60, 5),
    ]  # fmt: skip


class Written(nn.Module):
    """In a class of the user's, with a block inside that is called by name."""

    def __init__(self, rate):
        super().__init__()
        pieces = _pieces(rate)
        self.stem = nn.ModuleDict({"conv": pieces[0], "act": pieces[1], "norm": pieces[2]})
        self.rest = nn.Sequential(*pieces[3:])

    def forward(self, x):
        x = self.stem["norm"](input=self.stem["act"](self.stem["conv"](x)))
        return self.rest(x)


def side(model, optimizer=None, **more):
    return {
        "model": model,
        "loss": nn.functional.cross_entropy,
        "optimizer": (optimizer or (lambda p: torch.optim.SGD(p, 0.1)))(model.parameters()),
    } | more


# {name: function of the dropout's rate that returns a side}; each is conv, relu, batch norm, max pool, dropout, flatten, dropout, dense
NETWORKS = {
    "sequential": lambda rate: side(nn.Sequential(*_pieces(rate))),
    "nested": lambda rate: side(nn.Sequential(nn.Sequential(*_pieces(rate)[:4]), nn.Sequential(*_pieces(rate)[4:]))),
    "written": lambda rate: side(Written(rate)),
    "made in float32": lambda rate: side(nn.Sequential(*_pieces(rate)).to(torch.float32)),
}


def own(side, x, y):
    """(output, loss, [gradient]) of PyTorch's own call in training mode."""
    model = side["model"].train()
    for value in model.parameters():
        value.grad = None
    output = model(torch.from_numpy(x))
    value = side["loss"](output, torch.from_numpy(y))
    value.backward()
    return output.detach().numpy(), value.item(), [p.grad.numpy().copy() for p in model.parameters()]


def frozen():
    """A side whose batch norm is not trained."""
    pieces = _pieces(0.0)
    pieces[2].requires_grad_(False)
    return side(nn.Sequential(*pieces))


# Settings that describe them, for what the numbers alone do not say twice
OPTIMIZERS = [
    lambda p: torch.optim.Adam(p, 0.01, eps=1e-3),
    lambda p: torch.optim.Adam(p, 0.01, (0.8, 0.9), weight_decay=0.1, amsgrad=True),
    lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
    lambda p: torch.optim.SGD(p, 0.1),
    lambda p: torch.optim.SGD(p, 0.1, 0.8, weight_decay=0.2),
    lambda p: torch.optim.SGD(p, 0.1, 0.8, nesterov=True),
    lambda p: torch.optim.SGD(p, 0.1, 0.8, dampening=0.5),
    lambda p: torch.optim.RMSprop(p, 0.01, 0.8, eps=1e-2),
    lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.7, centered=True, weight_decay=0.1),
    lambda p: torch.optim.Adagrad(p, 0.1),
    lambda p: torch.optim.Adagrad(p, 0.1, 0.5),
    lambda p: torch.optim.Adagrad(p, 0.1, initial_accumulator_value=0.2, weight_decay=0.1),
]  # fmt: skip


def network_with(optimizer):
    return side(nn.Sequential(*_pieces(0.0)), optimizer)
