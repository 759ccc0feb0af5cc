"""The mistakes of planted.py, as data."""

SHORT = {"T": "pytorch", "K": "tensorflow", "P": "paddle", "J": "jax"}


def _of(name, network, knobs, pairs, stage, layer, cause, both=None):
    """`pairs`: "TK" is a reference in PyTorch, a port in Keras."""
    return {
        "name": name, "network": network, "knobs": knobs, "stage": stage, "layer": layer,
        "cause": tuple(cause.split()), "both": both or {},
        "pairs": tuple((SHORT[a], SHORT[b]) for a, b in pairs.split()),
    }  # fmt: skip


def forward(name, network, knobs, pairs, layer, cause, both=None):
    return _of(name, network, knobs, pairs, "forward", layer, cause, both)


def update(name, knobs, pairs, cause, both):
    return _of(name, "mlp", knobs, pairs, "update", "optimizer", cause, both)


def loss(name, network, knobs, pairs, cause, both=None):
    return _of(name, network, knobs, pairs, "loss", "loss", cause, both)


def optimizer(name, **numbers):
    return {"optimizer": {"name": name, "rate": 2**-7, "decay": 0.0, "decoupled": False, "clip": None} | numbers}


SGD = optimizer("sgd", momentum=0.9, nesterov=False, dampening=0.0)
ADAM = optimizer("adam", beta1=0.9, beta2=0.999, epsilon=1e-8, place="outside")
ADAMW = optimizer("adam", beta1=0.9, beta2=0.999, epsilon=1e-8, place="outside", decay=2**-4, decoupled=True)
RMS = optimizer("rmsprop", keep=0.9, epsilon=1e-6, momentum=0.0, centered=False, start=0.0, place="outside")
ADAGRAD = optimizer("adagrad", epsilon=1e-6, start=0.125)

MISTAKES = [
    # Norms
    forward("batch norm ε", "classifier", {"norm1.epsilon": 1e-3}, "TK PJ JT KP", "norm1", "epsilon"),
    forward("batch norm ε, deep", "deep", {"b11_norm2.epsilon": 1e-3}, "TP JK", "b11_norm2", "epsilon"),
    _of("batch norm keep", "classifier", {"norm1.keep": 0.99}, "TK JP PT", "state", "norm1", "keep"),
    _of("batch norm momentum the other way", "classifier", {"norm1.keep": 0.1}, "KT PJ", "state", "norm1", "keep"),
    _of("batch norm keep, deep", "deep", {"b4_norm1.keep": 0.99}, "PT KJ", "state", "b4_norm1", "keep"),
    _of("running variance unbiased", "classifier", {"norm1.unbiased": True}, "KT PT JT", "state", "norm1", "unbiased"),
    _of("running variance biased", "classifier", {"norm1.unbiased": False}, "TK TJ TP", "state", "norm1", "unbiased", {"norm1.unbiased": True}),
    forward("batch norm stays in evaluation", "classifier", {"norm1.frozen": True}, "KT TP", "norm1", "frozen"),
    forward("group norm ε", "norms", {"group.epsilon": 1e-3}, "TK JP", "group", "epsilon"),
    forward("instance norm ε", "norms", {"instance.epsilon": 1e-3}, "PT KJ", "instance", "epsilon"),
    forward("layer norm ε", "norms", {"layer.epsilon": 1e-6}, "JT TP", "layer", "epsilon"),
    forward("layer norm ε, in a transformer", "sequence", {"norm2.epsilon": 1e-3}, "KP TJ", "norm2", "epsilon"),
    forward("rms norm ε", "norms", {"rms.epsilon": 1e-3}, "TK JT", "rms", "epsilon"),
    forward("groups of a norm", "norms", {"group.groups": 2}, "TP KJ", "group", "groups"),
    # Activations
    forward("GELU by tanh", "sequence", {"act1.approximate": True}, "TJ PK", "act1", "approximate"),
    forward("GELU by erf", "sequence", {"act1.approximate": False}, "JP KT", "act1", "approximate", {"act1.approximate": True}),
    forward("slope of LeakyReLU", "upsampling", {"act2.slope": 0.01}, "TP KT JT", "act2", "slope"),
    forward("SiLU for ReLU", "mlp", {"act1.name": "silu"}, "TK PJ", "act1", "name"),
    forward("SiLU for ReLU, deep", "deep", {"b7_act1.name": "silu"}, "KT JP", "b7_act1", "name"),
    forward("ReLU6 for ReLU", "mlp", {"act1.name": "relu6"}, "PT TJ", "act1", "name", {"start.factor": 8.0}),
    forward("ELU's α", "mlp", {"act1.alpha": 0.5}, "TK JT", "act1", "alpha", {"act1.name": "elu", "act1.alpha": 1.0}),
    forward("softplus β", "mlp", {"act1.beta": 2.0}, "TP PJ", "act1", "beta", {"act1.name": "softplus", "act1.beta": 1.0}),
    forward("hard sigmoid for sigmoid", "mlp", {"act2.name": "hard_sigmoid"}, "TK JT", "act2", "name", {"act2.name": "sigmoid"}),
    forward("hard swish for SiLU", "mlp", {"act2.name": "hard_swish"}, "KJ TP", "act2", "name", {"act2.name": "silu"}),
    forward("softmax over time", "sequence", {"gates.axis": 1}, "TK PJ", "gates", "axis"),
    forward("log softmax for softmax", "sequence", {"gates.name": "log_softmax"}, "TP TJ", "gates", "name"),
    # Convolutions and pooling
    forward("padding at the end", "classifier", {"conv1.padding": [0, 1]}, "TK PJ JT", "conv1", "padding"),
    forward("padding at the beginning", "classifier", {"conv2.padding": [2, 0]}, "TP KJ", "conv2", "padding"),
    forward("padding at the end, deep", "deep", {"down2.padding": [0, 1]}, "TK PJ", "down2", "padding"),
    forward("stride at the other convolution", "deep", {"down1.stride": 2, "down2.stride": 1}, "TJ PT", "down1", "stride"),
    forward("dilation", "classifier", {"conv2.dilation": 2, "conv2.padding": 2}, "TP JK", "conv2", "dilation padding"),
    forward("kernel turned", "classifier", {"conv2.turned": True}, "KT PT", "conv2", "turned"),
    forward("transposed kernel turned", "upsampling", {"up1.turned": True}, "TJ PT KJ", "up1", "turned"),
    forward("output padding at the beginning", "upsampling", {"up2.padding": 0, "up2.more": -1}, "TJ KJ", "up2", "padding"),
    forward("average counts its padding", "classifier", {"pool2.counted": True}, "KT JP TJ", "pool2", "counted"),
    forward("average for maximum", "classifier", {"pool1.op": "average"}, "TK PJ", "pool1", "op"),
    forward("maximum for average", "classifier", {"pool2.op": "max"}, "JT KP", "pool2", "op"),
    forward("pooling window", "classifier", {"pool1.size": 3, "pool1.padding": [0, 1]}, "TK PJ", "pool1", "size padding"),
    forward("pooling pads at the end", "classifier", {"pool2.size": 2, "pool2.padding": 0, "pool2.ceil": True}, "TP PT", "pool2", "size padding ceil"),
    forward("flattening order", "classifier", {"flat.order": "channels_last"}, "TK PJ KT", "flat", "order flatten"),
    forward("flattening order, deep", "deep", {"flat.order": "channels_last"}, "JK PT", "flat", "order flatten"),
    forward("reshaped in the other order", "upsampling", {"shape.order": "channels_last"}, "TK JP", "shape", "order reshape"),
    forward("resize linear for nearest", "upsampling", {"resize.mode": "linear"}, "TP PT", "resize", "mode"),
    forward("resize holds corners", "upsampling", {"resize.corners": True}, "TP PT", "resize", "corners", {"resize.mode": "linear"}),
    # Sequences
    forward("GRU resets before", "sequence", {"gru.reset_after": False}, "TK PK", "gru", "reset_after"),
    forward("GRU gates", "sequence", {"gru.order": "zrn"}, "KT PT", "gru", "gates"),
    forward("LSTM gates", "memory", {"lstm.order": "igfo"}, "KT JT PT", "lstm", "gates"),
    forward("attention heads", "sequence", {"attend.heads": 4}, "TP KJ JT", "attend", "heads"),
    forward("attention scale left out", "sequence", {"attend.scale": "none"}, "PT TJ", "attend", "scale"),
    forward("attention scaled by the width", "sequence", {"attend.scale": "width"}, "KT PJ", "attend", "scale"),
    forward("embedding gives 0 for its padding", "sequence", {"embed.padding": 0}, "TP JP", "embed", "zeros padding"),
    _of("embedding keeps its padding row", "sequence", {"embed.padding": 0}, "PT JT", "gradients", "embed", "padding"),
    # What lies between layers
    forward("residual left out", "sequence", {"add2": None}, "TK PJ", "add2", "add residual"),
    forward("residual left out, deep", "deep", {"b13_add": None}, "TP KJ", "b13_add", "add residual"),
    forward("input divided by 255", "mlp", {"start.factor": 1 / 255}, "TK JP", "start", "scale factor affine"),
    forward("input from -1 to 1", "classifier", {"start.factor": 2.0, "start.shift": -1.0}, "PJ KT", "start", "scale shift factor affine"),
    forward("residual scaled, deep", "deep", {"b9_pass.factor": 0.5}, "TJ PK", "b9_pass", "scale factor affine"),
    forward("activation left out", "classifier", {"act2": None}, "TK JP", "act2", "name activation"),
    forward("activation left out, deep", "deep", {"b5_act2": None}, "PT KJ", "b5_act2", "name activation"),
    _of("dense layer left out", "mlp", {"dense2": None}, "TK PJ", "matching", "dense2", "layer"),
    _of("convolution left out, deep", "deep", {"b6_conv2": None}, "TJ KP", "matching", "b6_conv2", "layer"),
    _of("bias left out", "mlp", {"dense2.bias": False}, "TK PJ", "matching", "dense2", "bias"),
    _of("bias left out, deep", "deep", {"b3_conv1.bias": False}, "JT KP", "matching", "b3_conv1", "bias"),
    forward("dropout's other share", "mlp", {"drop1.rate": 0.75}, "TK PJ", "drop1", "rate"),
    forward("dropout left out", "mlp", {"drop1": None}, "TP KJ", "drop1", "dropout rate layer"),
    # Gradients
    _of("parameters frozen", "mlp", {"frozen": ["dense2"]}, "TK PJ JP", "trainable sets", "dense2", "trainable"),
    _of("parameters frozen, deep", "deep", {"frozen": ["b15_conv1"]}, "TP KT", "trainable sets", "b15_conv1", "trainable"),
    _of("gradient stopped", "mlp", {"cut.factor": 0.0}, "TK PJ", "gradients", "cut", "flows"),
    _of("gradient stopped, deep", "deep", {"cut.factor": 0.0}, "JT KP", "gradients", "cut", "flows"),
    _of("gradient scaled", "sequence", {"cut.factor": 0.5}, "TJ PK", "gradients", "cut", "factor"),
    _of("tied weights on one side", "mlp", {"tied": {"dense2": "dense1"}}, "TP PT", "matching", "dense2", "tied", {"dense1.out": 7, "dense2.out": 7}),
    # Losses
    loss("loss summed", "mlp", {"loss.reduction": "sum"}, "TK PJ", "reduction"),
    loss("squared error by samples", "upsampling", {"loss.reduction": "batch"}, "JT KP", "reduction"),
    loss("half of the squared error", "upsampling", {"loss.factor": 0.5}, "TK PJ", "factor"),
    loss("label smoothing", "mlp", {"loss.smoothing": 0.1}, "TP JK", "smoothing spread"),
    loss("softmax twice", "probabilities", {"loss.takes": "logits"}, "TK PJ", "takes guard normalised"),
    loss("how a logarithm is kept finite", "binary", {"loss.guard": ["log", -100.0]}, "KT JT", "guard"),
    loss("the loss of a deep network summed", "deep", {"loss.reduction": "sum"}, "TK JP", "reduction"),
    # Optimisers
    update("Adam's ε", {"optimizer.epsilon": 1e-3}, "TJ PT", "epsilon", ADAM),
    update("Adam's ε̂", {"optimizer.place": "hat"}, "TK JK", "place", optimizer("adam", beta1=0.9, beta2=0.999, epsilon=1e-3, place="outside")),
    update("Adam's β2", {"optimizer.beta2": 0.99}, "TJ PT", "beta2", ADAM),
    update("decay coupled", {"optimizer.decoupled": False}, "TJ PT", "decoupled", ADAMW),
    update("decay decoupled", {"optimizer.decoupled": True}, "TJ JT", "decoupled", ADAMW | {"optimizer": ADAMW["optimizer"] | {"decoupled": False}}),
    update("decay of another size", {"optimizer.decay": 2**-5}, "TJ JT", "decay", ADAMW),
    update("decay left out", {"optimizer.decay": 0.0}, "TJ JP", "decay", ADAMW),
    update("Nesterov", {"optimizer.nesterov": True}, "TJ JP", "nesterov", SGD),
    update("dampening", {"optimizer.dampening": 0.5}, "JT PT", "dampening", SGD),
    update("the rate inside of the momentum", {}, "TK PK JK", "rate_inside", SGD),
    update("the share of momentum", {"optimizer.momentum": 0.5}, "TJ JT", "momentum", SGD),
    update("RMSprop's ε inside of the root", {"optimizer.place": "root"}, "TJ TK", "place", RMS),
    update("RMSprop's share that stays", {"optimizer.keep": 0.99}, "TJ JT", "keep", RMS),
    update("RMSprop starts from 1", {"optimizer.start": 1.0}, "TJ JJ", "start", RMS),
    update("Adagrad starts elsewhere", {"optimizer.start": 0.0}, "KJ TP", "start", ADAGRAD),
    update("clipping by the norm of all", {"optimizer.clip": {"kind": "global_norm", "value": 0.5}}, "TJ TP", "clip", SGD),
    update("clipping by each norm", {"optimizer.clip": {"kind": "norm", "value": 0.5}}, "TP JP", "clip", SGD),
    update("clipping by value", {"optimizer.clip": {"kind": "value", "value": 0.25}}, "TJ TP", "clip", SGD),
]  # fmt: skip
