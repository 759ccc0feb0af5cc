"""The process that JAX runs in: what is set before it is imported, its threads, the precision of its products.

Every file of this folder that needs JAX needs this one first; nothing here depends on a model.
"""

from common import environment

# XLA's pool has a thread for each core that the process may use when it is made; there is no variable to set.
environment.threads()
# What this project sets, for the record that every measurement keeps.
SETTINGS: dict[str, str] = {}

import jax  # noqa: E402

from common.errors import UsageError  # noqa: E402

# Without x64 JAX silently turns float64 into float32. It is on for float32 columns too. They stay float32, every dtype
# here being explicit, except for 1 - β^t inside Optax, which float32 gets wrong by 1.3e-5 and more at β = 0.999. And
# switching it on later, for a float64 column, would recompile the float32 ones and change their results.
jax.config.update("jax_enable_x64", True)
# On recent GPUs JAX multiplies float32 matrices in TF32, which rounds them to 10 bits of mantissa.
jax.config.update("jax_default_matmul_precision", "highest")


def check_device(device: str) -> None:
    """UsageError if `device`, "cpu" or "gpu", is not there."""
    try:
        jax.devices(device)
    except RuntimeError:
        raise UsageError(f"device {device!r} was asked for, but JAX finds no CUDA device; use --device cpu") from None


def lower(precision: str) -> None:
    """Have all products of this process on a GPU from now on computed in `precision`, one of
    `Backend.precisions`; parameters, moments and what lies between stay float32."""
    algorithm = {"tf32": "tensorfloat32", "bfloat16": "BF16_BF16_F32"}[precision]
    jax.config.update("jax_default_matmul_precision", algorithm)
