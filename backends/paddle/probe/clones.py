"""Clones of a static Program, for `diff`: cut down to what is asked for, with the masks of dropout fed."""

from paddle import pir, static
from paddle.base.libpaddle.pir import get_used_external_value

from backends.paddle.probe.updates import UPDATES, number, operand

# Operators whose draws cannot be replayed.
RANDOM = {f"pd_op.{name}" for name in ("gaussian", "uniform", "randint", "bernoulli", "multinomial", "binomial", "poisson", "rrelu", "truncated_gaussian_random", "randperm", "gumbel_softmax", "exponential_")}  # fmt: skip


def ops_of(program):
    return program.global_block().ops


def dtype_of(value):
    return str(value.dtype).removeprefix("paddle.")


def lasts(op):
    return op.name() in ("pd_op.data", "builtin.parameter") and op.result(0).persistable


def is_fed(op):
    return op.name() == "pd_op.data" and not op.result(0).persistable


def is_dropout(op):
    return op.name() == "pd_op.dropout" and not op.attrs()["is_test"] and number(op.operand_source(2)) > 0


def replayed(program, op, name):
    """(name, rate, scale) of a dropout `op`, which is replaced by a product with what is fed as `name`."""
    given, dropped, drawn = op.operand_source(0), op.result(0), op.result(1)
    rate = number(op.operand_source(2))
    with static.program_guard(program):
        pir.reset_insertion_point_to_start()
        kept = static.data(name, [None if size < 0 else size for size in given.shape], dtype_of(given))
        for back in drawn.all_used_ops():  # on the way back, if the optimiser is inside
            pir.set_insertion_point_after(back)
            back.result(0).replace_all_uses_with(operand(back, "out_grad") * kept)
        pir.set_insertion_point_after(op)
        new = given * kept
        new.stop_gradient = dropped.stop_gradient
        dropped.replace_all_uses_with(new)
    return name, rate, 1.0 if op.attrs()["mode"] != "upscale_in_train" or rate == 1 else 1 / (1 - rate)


def cut(program, values, beside=False):
    """Erases what `values` do not need; `beside`: not what is written in place, such as running statistics, before the way back."""
    ops, needed = ops_of(program), {value.get_defining_op().id() for value in values}
    for op in reversed(ops):
        in_place = beside and op.name().endswith("_") and op.name() not in UPDATES
        if in_place or op.id() in needed:
            needed |= {op.id()} | {one.get_defining_op().id() for one in get_used_external_value(op)}
    for op in reversed(ops):
        if op.id() not in needed:
            program.global_block().remove_op(op)
