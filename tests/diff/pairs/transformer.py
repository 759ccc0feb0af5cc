"""`torch.nn.TransformerEncoder` beside `paddle.nn.TransformerEncoder`, two layers, dropout left out.

equal
"""


def inputs(rng):
    return {"x": rng.normal(size=(4, 7, 32)), "y": rng.normal(size=(4, 7, 32))}


def reference():
    import torch
    from torch import nn

    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, 2)
    return {"model": model, "loss": nn.functional.mse_loss, "optimizer": torch.optim.SGD(model.parameters(), 0.01)}


def port():
    import paddle
    from paddle import nn

    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0), 2)
    optimizer = paddle.optimizer.SGD(0.01, model.parameters())
    return {"model": model, "loss": nn.functional.mse_loss, "optimizer": optimizer}
