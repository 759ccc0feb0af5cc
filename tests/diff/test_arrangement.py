"""Ports that arrange things otherwise and compute the same: equal; and what they get wrong in doing so."""

import pytest

from common.tools.diff import judge
from common.tools.diff.verdict import DIFFERENT, EQUAL

FILE = """
def inputs(rng):
    return {{"x": rng.normal(size=(2, 4, 12))}}


def reference():
    import torch.nn.functional as F
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.act = nn.Conv1d(4, 6, 3, dilation=2), nn.LayerNorm(6, eps=1e-3), nn.PReLU(6)

        def forward(self, x):
            x = self.conv(F.pad(x, {pad}))
            return self.act(self.norm(x.transpose(1, 2)).transpose(1, 2))

    return dict(model=Net())


def port():
    import keras
    from keras import layers

    x = given = keras.Input((12, 4))
    x = layers.Conv1D(6, 3, dilation_rate=2, padding="causal", name="conv")(x)
    x = layers.PReLU(shared_axes=[1], name="act")(layers.LayerNormalization(epsilon=1e-3, name="norm")(x))
    return dict(model=keras.Model(given, x), layout={{"x": "NLC", "output": "NLC"}})
"""


@pytest.mark.parametrize("pad", [(4, 0), (2, 2)])
def test_a_functional_padding_and_channels_at_the_end(tmp_path, pad):
    """A causal convolution, written with F.pad; layer norm and PReLU with their channels where each framework has them."""
    (tmp_path / "mine.py").write_text(FILE.format(pad=pad))
    verdict = judge.diff(tmp_path / "mine.py", timeout=300)
    if pad == (4, 0):
        assert verdict.outcome == EQUAL, (verdict.parted, verdict.causes)
        return
    assert verdict.outcome == DIFFERENT
    assert [(one.where, one.settings, one.proven) for one in verdict.causes] == [("conv", {"padding": ([[2, 2]], "causal")}, True)]  # fmt: skip


SAME = """
def inputs(rng):
    return {"x": rng.normal(size=(2, 3, 16, 16)), "y": rng.normal(size=(2, 6, 8, 8))}


def reference():
    import keras
    from keras import layers as kl

    norm = kl.BatchNormalization(epsilon=1e-5, momentum=0.9)
    model = keras.Sequential([keras.Input((16, 16, 3)), kl.Conv2D(6, 3, strides=2, padding="same"), norm, kl.Activation("swish")])
    loss, last = keras.losses.MeanSquaredError(), "NHWC"
    return dict(model=model, loss=loss, optimizer=keras.optimizers.SGD(0.1), layout=dict(x=last, y=last, output=last))


def port():
    import paddle
    import paddle.nn.functional as F
    from paddle import nn

    class Net(nn.Layer):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2D(3, 6, 3, stride=2), nn.BatchNorm2D(6)

        def forward(self, x):
            return F.silu(self.norm(self.conv(F.pad(x, [0, 1, 0, 1]))))

    model = Net()
    return dict(model=model, loss=nn.MSELoss(), optimizer=paddle.optimizer.SGD(0.1, parameters=model.parameters()))
"""


def test_same_by_a_functional_padding_at_the_end(tmp_path):
    """What ports of TensorFlow's "same" do; Paddle's batch norm rounds ε to float32, which an output may show before any layer does."""
    (tmp_path / "mine.py").write_text(SAME)
    verdict = judge.diff(tmp_path / "mine.py", timeout=300)
    assert verdict.outcome == EQUAL, (verdict.parted, verdict.causes)
