"""The process that TensorFlow runs in: what is set before it is imported, its threads, the precision of its products.

Every file of this folder that needs TensorFlow needs this one first; nothing here depends on a model.
"""

import contextlib
import os
import subprocess
import sys

from common import environment
from common.errors import UsageError

THREADS = environment.threads()

# What this project sets, for the record that every measurement keeps.
SETTINGS = environment.settle(
    TF_NUM_INTRAOP_THREADS=THREADS,
    TF_NUM_INTEROP_THREADS=THREADS,
    # Start-up notices of the C++ side, an ERROR line wherever there is no GPU among them; failures raise all the same.
    TF_CPP_MIN_LOG_LEVEL="3",
    # oneDNN serves float32 outside XLA only, with kernels chosen by processor: results would depend on the machine.
    TF_ENABLE_ONEDNN_OPTS="0",
    # TensorFlow takes all of a GPU's memory otherwise; the other backends' processes need theirs.
    TF_FORCE_GPU_ALLOW_GROWTH="true",
)
SETTINGS |= {"KERAS_BACKEND": "tensorflow"}
os.environ["KERAS_BACKEND"] = "tensorflow"


@contextlib.contextmanager
def _without_cuda_notice():
    """Drops what TensorFlow writes where there is no CUDA driver before it heeds TF_CPP_MIN_LOG_LEVEL
    (tensorflow#100442), past sys.stderr. Everything else on standard error is passed on, by a process of its own: that of an
    import that ends in abort(), as on a processor without AVX, too."""
    sift = (
        "import sys\n"
        "for line in sys.stdin.buffer:\n"
        "    if b'cudart_stub.cc' not in line and b'absl::InitializeLog()' not in line:\n"
        "        sys.stderr.buffer.write(line)\n"
        "        sys.stderr.flush()"
    )
    command = [sys.executable, "-I", "-S", "-c", sift]
    # A group of its own, which Ctrl-C does not reach: it ends with the last line of this process.
    with subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0) as sieve:
        stderr = os.dup(2)
        os.dup2(sieve.stdin.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


with _without_cuda_notice():
    import keras
    import tensorflow as tf

if keras.config.backend() != "tensorflow":
    raise UsageError(f"Keras runs on {keras.config.backend()!r} in this process already; use a process of its own")

# TF32 rounds float32 inputs to 10 bits of mantissa on recent GPUs; TensorFlow leaves it on.
tf.config.experimental.enable_tensor_float_32_execution(False)

# Every Column traces its own functions, which TensorFlow takes for needless retracing where a process has several.
tf.get_logger().addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())

DEVICES = {"cpu": "/CPU:0", "gpu": "/GPU:0"}


def check_device(device: str) -> None:
    """UsageError if `device`, "cpu" or "gpu", is not there."""
    if device == "gpu" and not tf.config.list_physical_devices("GPU"):
        raise UsageError("device 'gpu' was asked for, but TensorFlow finds no GPU; use --device cpu")


def lower(precision: str) -> None:
    """Have all products of this process on a GPU from now on computed in `precision`, "tf32", all that
    `Backend.precisions` offers here; parameters, moments and what lies between stay float32."""
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")
