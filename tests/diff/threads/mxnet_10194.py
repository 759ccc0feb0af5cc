"""apache/mxnet#10194: an average at the border counts the zeros of its padding in PyTorch, and does not in Paddle.

layer: 1 · cause: counted
"""


def inputs(rng):
    return {"x": rng.normal(size=(4, 3, 9, 9))}


def reference():
    from torch import nn

    return {
        "model": nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1), nn.AvgPool2d(3, stride=2, padding=1), nn.Flatten(), nn.Linear(125, 4)
        )
    }


def port():
    from paddle import nn

    model = nn.Sequential(
        nn.Conv2D(3, 5, 3, padding=1), nn.AvgPool2D(3, stride=2, padding=1), nn.Flatten(), nn.Linear(125, 4)
    )
    return {"model": model}
