"""What Paddle's users load: inference models, one a job, each with its Program and its weights."""

from backends.paddle import process  # noqa: F401  # isort: skip

import paddle

DTYPE = None  # no networks to write down: the Program is in the file

EXAMPLE = """\
import numpy as np
import paddle

paddle.enable_static()
executor = paddle.static.Executor(paddle.CPUPlace())
program, feeds, fetches = paddle.static.load_inference_model("{job}", executor)

random = np.random.default_rng(0)
{given}
(images,) = executor.run(program, feed={{name: given[name] for name in feeds}}, fetch_list=fetches)
print(images.shape)
"""


def save(column, folder):
    state = column.state
    for job in ("sample", "encode", "reconstruct"):
        if (job, "fed") in state.programs:
            program = state.programs[job, "fed"]
            with paddle.static.scope_guard(state.scope):
                paddle.static.save_inference_model(
                    str(folder / job),
                    program.fed,
                    list(program.fetch.values()),
                    program.executor,
                    program=program.main,
                )
