"""The process that PyTorch runs in: what is set before it is imported, its threads, the precision of its products.

Every file of this folder that needs PyTorch needs this one first; nothing here depends on a model.
"""

import os
from collections.abc import Callable

from common import environment

# What this project sets, for the record that every measurement keeps.
SETTINGS = environment.settle(
    OMP_NUM_THREADS=environment.threads(),
    MKL_NUM_THREADS=environment.threads(),
    # PyTorch's profiler announces itself.
    KINETO_LOG_LEVEL="99",
)
# Threads that wait spin, by default for milliseconds: beside two busy processes on two cores an update of the VAE takes seven
# times its idle time. They spin for some 10 µs, from one operator to the next; asleep at once (OMP_WAIT_POLICY=PASSIVE), they
# have to be woken for each, and an idle machine is slower by a third.
if "OMP_WAIT_POLICY" not in os.environ:
    SETTINGS |= environment.settle(GOMP_SPINCOUNT=3000)
# On AMD processors MKL multiplies float32 matrices on its AVX2 path; where there is AVX-512, oneDNN, which PyTorch brings for
# convolutions, is twice as fast. PyTorch hands it the products of those who permit bfloat16 inside. It is held to
# instructions without bfloat16, so that it computes them in float32 all the same; it reads this when it is first used.
WITH_ONEDNN = environment.amd_processor() and environment.has_avx512() and "ONEDNN_MAX_CPU_ISA" not in os.environ
if WITH_ONEDNN:
    SETTINGS |= environment.settle(ONEDNN_MAX_CPU_ISA="AVX512_CORE")

import torch  # noqa: E402

from common.errors import UsageError  # noqa: E402

if WITH_ONEDNN:
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
# TF32 rounds float32 inputs to 10 bits of mantissa on recent GPUs; PyTorch leaves it on for convolutions.
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False

DEVICES = {"cpu": "cpu", "gpu": "cuda"}


def check_products(multiply: Callable = torch.matmul) -> None:
    """UsageError unless products are computed in float32: a process in which oneDNN was used before this file was imported
    keeps its bfloat16 instructions, and permitting them then means using them."""
    random = torch.Generator().manual_seed(0)
    a = torch.rand((256, 256), generator=random)
    exact = a.double() @ a.double()
    deviation = torch.linalg.norm(multiply(a, a).double() - exact) / torch.linalg.norm(exact)
    if deviation > 1e-5:  # float32 gives 1e-7, bfloat16 1e-3
        raise UsageError(
            f"PyTorch multiplies in less than float32 here (off by {deviation:.0e}): oneDNN was used before "
            "backends.pytorch was imported; import it first, or use a process of its own"
        )


def check_device(device: str) -> None:
    """UsageError if `device`, "cpu" or "gpu", is not there."""
    if device == "gpu" and not torch.cuda.is_available():
        raise UsageError("device 'gpu' was asked for, but PyTorch finds no CUDA device; use --device cpu")


def lower(precision: str) -> None:
    """Have all products of this process on a GPU from now on computed in `precision`, one of
    `Backend.precisions`; parameters, moments and what lies between stay float32."""
    if precision == "tf32":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    else:
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        torch.set_autocast_enabled("cuda", True)
        torch.set_autocast_cache_enabled(False)  # weights cast once would be stale at the next replay of a CUDA graph


check_products()
