"""The process that Paddle runs in: what is set before it is imported, its threads, the precision of its products.

`backends.engine` imports it before any other file of this folder; nothing here depends on a model. It calls paddle.enable_static(),
which holds for the whole process: other code there that uses Paddle's dynamic mode needs paddle.disable_static() before and
paddle.enable_static() after.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from common import environment

# What this project sets, for the record that every measurement keeps.
SETTINGS = environment.settle(
    OMP_NUM_THREADS=environment.threads(),
    # One operator after another: those that Paddle would run at once compete for the cores (a VAE update takes 4.2 ms
    # instead of 5.2 on two).
    FLAGS_new_executor_serial_run=1,
    # What an operator no longer needs stays until the next run, which takes the memory again. Freed at once, it is handed to
    # another thread, which is woken for each: 4.4 ms of processor time for the autoencoder's update instead of 2.7.
    FLAGS_eager_delete_tensor_gb=-1,
    # Errors only: the executor announces itself, and paddle.normal warns of an `out` that nobody passed.
    GLOG_minloglevel=2,
    # Threads that wait must not spin, by default for 200 ms: beside two busy processes on two cores an update of the VAE takes
    # 16 ms instead of 75 with as little as 1 ms of it.
    KMP_BLOCKTIME=0,
)
# The CPU wheel brings an MKL of 2019 that takes its slow generic path on AMD processors unless told that AVX-512 (7) or
# AVX2 (5) is there: square matrix products at 430 GFLOP/s or 230 instead of 90.
if environment.amd_processor():
    SETTINGS |= environment.settle(MKL_DEBUG_CPU_TYPE=7 if environment.has_avx512() else 5)

# Paddle prints a warning of any other number of threads when it is imported; OpenMP reads it later, when it is first used.
os.environ["OMP_NUM_THREADS"] = "1"
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "No ccache found", UserWarning)  # of use to those who compile operators
    import paddle
os.environ["OMP_NUM_THREADS"] = SETTINGS["OMP_NUM_THREADS"]
THREADS = int(SETTINGS["OMP_NUM_THREADS"]) if SETTINGS["OMP_NUM_THREADS"].isdecimal() else 1
# Multiplications in one pass of a model, from which on more than one thread pays. They sleep and have to be woken for each
# operator: with two an update of `autoencoder` takes 2.6 ms instead of 1.7, of `gan` 31 instead of 39.
WORTH_THREADS = 1e8

from common.errors import UsageError  # noqa: E402

paddle.enable_static()


def _tf32(permitted):
    # Builds for processors have both only since 3.3.
    for name in ("set_cublas_switch", "set_cudnn_switch"):
        if hasattr(paddle.base.core, name):
            getattr(paddle.base.core, name)(permitted)


# TF32 rounds float32 inputs to 10 bits of mantissa on recent GPUs; Paddle leaves it on for convolutions.
_tf32(False)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Paddle says of its own calls and nobody can act on: its minimize asks a static Value for its place, and a
    batch norm announces that it tracks the mean."""
    with warnings.catch_warnings():
        for said in (r"\w+ do not have 'place' interface", "When training, we now always track"):
            warnings.filterwarnings("ignore", said, UserWarning)
        yield


def check_device(device: str) -> None:
    """UsageError if `device`, "cpu" or "gpu", is not there."""
    if device == "gpu" and not (paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0):
        raise UsageError("device 'gpu' was asked for, but Paddle finds no CUDA device; use --device cpu")


GPU = 0  # which of the GPUs is "gpu"


def use_gpu(index: int) -> None:
    """Have "gpu" mean another GPU than the first from now on."""
    global GPU
    GPU = index


def place(device: str):
    """Where Paddle keeps what is on `device`."""
    return paddle.CUDAPlace(GPU) if device == "gpu" else paddle.CPUPlace()


def use_threads(products: int) -> None:
    """As many threads for an operator from now on as pay for `products` multiplications in one pass of a model."""
    paddle.base.core.set_num_threads(THREADS if products >= WORTH_THREADS else 1)


def lower(precision: str) -> None:
    """Have all products of this process on a GPU from now on computed in `precision`, one of
    `Backend.precisions`; parameters, moments and what lies between stay float32."""
    _tf32(precision == "tf32")
