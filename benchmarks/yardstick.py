"""What the device can do, measured in the same process settings as everything else: matrix products and copies."""

import time

import numpy as np

SIDES = (512, 1024, 2048)
COPY_BYTES = 256 * 2**20


def rates(backend: str, device: str, dtype: str = "float32") -> dict[str, float]:
    """{"product": operations a second of the fastest square matrix product, "copy": bytes a second read and written}."""
    product, copy = {"pytorch": _pytorch, "tensorflow": _tensorflow, "paddle": _paddle, "jax": _jax}[backend](
        device, dtype
    )
    random = np.random.default_rng(0)
    best = 0.0
    for side in SIDES:
        run = product(*(random.random((side, side), dtype) for _ in range(2)))
        best = max(best, 2 * side**3 / _fastest(run))
    return {"product": best, "copy": 2 * COPY_BYTES / _fastest(copy(np.zeros(COPY_BYTES // 4, "float32")))}


def device_memory(backend: str) -> int:
    """Most bytes that the framework has held on the GPU so far."""
    match backend:
        case "pytorch":
            import torch

            return torch.cuda.max_memory_allocated()
        case "tensorflow":
            import tensorflow as tf

            return tf.config.experimental.get_memory_info("GPU:0")["peak"]
        case "paddle":
            import paddle

            return paddle.device.cuda.max_memory_allocated()
        case "jax":
            import jax

            return jax.devices("gpu")[0].memory_stats()["peak_bytes_in_use"]


def _fastest(run, budget: float = 0.4) -> float:
    """Seconds of the fastest call within `budget` seconds, after one that warms up."""
    run()
    times, end = [], time.perf_counter() + budget
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _pytorch(device, dtype):
    import torch

    place = torch.device({"cpu": "cpu", "gpu": "cuda"}[device])
    wait = torch.cuda.synchronize if device == "gpu" else lambda: None

    def put(a):
        return torch.from_numpy(a).to(place)

    def product(a, b):
        a, b = put(a), put(b)
        out = torch.empty_like(a)
        return lambda: (torch.mm(a, b, out=out), wait())

    def copy(a):
        a = put(a)
        out = torch.empty_like(a)
        return lambda: (out.copy_(a), wait())

    return product, copy


def _tensorflow(device, dtype):
    import tensorflow as tf

    place = {"cpu": "/CPU:0", "gpu": "/GPU:0"}[device]

    def compiled(function, *arrays):
        with tf.device(place):
            given = [tf.constant(a) for a in arrays]
            function = tf.function(function, jit_compile=True, autograph=False)
        return lambda: function(*given).numpy()[:1] if device == "gpu" else function(*given)

    return (lambda a, b: compiled(tf.matmul, a, b)), (lambda a: compiled(lambda v: v + 1, a))


def _paddle(device, dtype):
    import paddle

    def program(function, *arrays):
        main, startup = paddle.static.Program(), paddle.static.Program()
        place = paddle.CUDAPlace(0) if device == "gpu" else paddle.CPUPlace()
        scope = paddle.static.Scope()
        with paddle.static.program_guard(main, startup):
            inputs = []
            for k, a in enumerate(arrays):
                inputs.append(paddle.static.data(f"in{k}", list(a.shape), dtype))
                inputs[-1].persistable = True
                scope.var(f"in{k}").get_tensor().set(a, place)
            result = paddle.max(function(*inputs)[:1])
        executor = paddle.static.Executor(place)
        return lambda: executor.run(main, fetch_list=[result], scope=scope)

    return (lambda a, b: program(paddle.matmul, a, b)), (lambda a: program(lambda v: v + 1, a))


def _jax(device, dtype):
    import jax
    from jax import numpy as jnp

    place = jax.devices(device)[0]

    def compiled(function, *arrays):
        given = [jax.device_put(a, place) for a in arrays]
        function = jax.jit(function)
        return lambda: jax.block_until_ready(function(*given))

    return (lambda a, b: compiled(jnp.matmul, a, b)), (lambda a: compiled(lambda v: v + 1, a))
