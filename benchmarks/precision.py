"""The fast path on a GPU with matrix products in less than float32; parameters, moments and what lies between stay float32.

TF32 rounds the inputs of products and convolutions to 10 bits of mantissa, bfloat16 to 7. TensorFlow and Paddle have
bfloat16 too, as a policy of each layer and as a rewritten Program, which the model files would have to know of.
"""

PRECISIONS = ("tf32", "bfloat16")
OFFERED = {"pytorch": PRECISIONS, "tensorflow": ("tf32",), "paddle": ("tf32",), "jax": PRECISIONS}


def lower(backend: str, precision: str) -> None:
    """Have all products of this process from now on computed in `precision`, one of OFFERED[backend]."""
    {"pytorch": _pytorch, "tensorflow": _tensorflow, "paddle": _paddle, "jax": _jax}[backend](precision)


def _pytorch(precision):
    import torch

    if precision == "tf32":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    else:
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        torch.set_autocast_enabled("cuda", True)
        torch.set_autocast_cache_enabled(False)  # weights cast once would be stale at the next replay of a CUDA graph


def _tensorflow(precision):
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(True)


def _paddle(precision):
    import paddle

    paddle.base.core.set_cublas_switch(True)
    paddle.base.core.set_cudnn_switch(True)


def _jax(precision):
    import jax

    jax.config.update("jax_default_matmul_precision", {"tf32": "tensorfloat32", "bfloat16": "BF16_BF16_F32"}[precision])
