"""What the device can do, measured in the same process settings as everything else: matrix products and copies."""

import time

import numpy as np

SIDES = (512, 1024, 2048)
COPY_BYTES = 256 * 2**20


def rates(backend: str, device: str, products: tuple[tuple[int, int, int], ...] = ()) -> dict[str, float]:
    """{"product": operations a second of the fastest square matrix product, "copy": bytes a second read and written} in
    float32; with `products` also {"products": seconds of all of these, (m, k)·(k, n) each, one call for all}."""
    multiply, copy = {"pytorch": _pytorch, "tensorflow": _tensorflow, "paddle": _paddle, "jax": _jax}[backend](device)
    random = np.random.default_rng(0)

    def fastest(shapes):
        return _fastest(multiply([(_random(random, m, k), _random(random, k, n)) for m, k, n in shapes]))

    found = {
        "product": max(2 * side**3 / fastest([(side, side, side)]) for side in SIDES),
        "copy": 2 * COPY_BYTES / _fastest(copy(np.zeros(COPY_BYTES // 4, np.float32))),
    }
    return found | ({"products": fastest(products)} if products else {})


def _random(random, *shape):
    return random.random(shape, np.float32)


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


def _pytorch(device):
    import torch

    place = torch.device({"cpu": "cpu", "gpu": "cuda"}[device])
    wait = torch.cuda.synchronize if device == "gpu" else lambda: None

    def put(a):
        return torch.from_numpy(a).to(place)

    def multiply(pairs):
        work = [(put(a), put(b), torch.empty((len(a), b.shape[1]), device=place)) for a, b in pairs]
        return lambda: ([torch.mm(a, b, out=out) for a, b, out in work], wait())

    def copy(a):
        a = put(a)
        out = torch.empty_like(a)
        return lambda: (out.copy_(a), wait())

    return multiply, copy


def _tensorflow(device):
    import tensorflow as tf

    place = {"cpu": "/CPU:0", "gpu": "/GPU:0"}[device]

    def compiled(function, arrays):
        with tf.device(place):
            given = tf.nest.map_structure(tf.constant, arrays)
            function = tf.function(function, jit_compile=True, autograph=False)
        return lambda: (function(given), tf.test.experimental.sync_devices())

    def multiply(pairs):
        return compiled(lambda pairs: [tf.matmul(a, b) for a, b in pairs], pairs)

    return multiply, lambda a: compiled(lambda v: v + 1, a)


def _paddle(device):
    import paddle

    def program(function, arrays):
        main, startup = paddle.static.Program(), paddle.static.Program()
        place = paddle.CUDAPlace(0) if device == "gpu" else paddle.CPUPlace()
        scope = paddle.static.Scope()
        with paddle.static.program_guard(main, startup):
            inputs = []
            for k, a in enumerate(arrays):
                inputs.append(paddle.static.data(f"in{k}", list(a.shape), "float32"))
                inputs[-1].persistable = True
                scope.var(f"in{k}").get_tensor().set(a, place)
            last = paddle.max(function(inputs)[-1:])  # a Program computes what nobody fetches, too
        executor = paddle.static.Executor(place)
        return lambda: executor.run(main, fetch_list=[last], scope=scope)

    def multiply(pairs):
        def function(inputs):
            return [paddle.matmul(a, b) for a, b in zip(inputs[::2], inputs[1::2], strict=True)][-1]

        return program(function, [array for pair in pairs for array in pair])

    return multiply, lambda a: program(lambda inputs: inputs[0] + 1, [a])


def _jax(device):
    import jax
    from jax import numpy as jnp

    place = jax.devices(device)[0]

    def compiled(function, arrays):
        given = jax.device_put(arrays, place)
        function = jax.jit(function)
        return lambda: jax.block_until_ready(function(given))

    def multiply(pairs):
        return compiled(lambda pairs: [jnp.matmul(a, b) for a, b in pairs], pairs)

    return multiply, lambda a: compiled(lambda v: v + 1, a)
