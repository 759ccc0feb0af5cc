"""Several processes of this machine that train one model together: started, watched, and ended as one.

Each is told its rank by the variables that its framework's own launcher sets, so that the same program runs under that one too.
"""

import contextlib
import signal
import sys
import tempfile
import time

from common import environment, worlds
from common.errors import LOST, TetraplaError
from common.processes import Children, end
from common.terminal import ERR

LAUNCHED = "TETRAPLA_LAUNCHED"  # set in processes of which the launcher tells the user what became of the others
GRACE = 2.0  # seconds in which ranks may end by themselves once one has failed


class RankFailed(TetraplaError):
    """A rank was ended, or left by another."""


def launch(backend: str, count: int, module: str, arguments: list[str]) -> None:
    """`python -m module arguments`, `count` times, each on its part of the cores; the output is that of rank 0. When one fails all
    are ended.

    Raises RankFailed, which names the rank, where one was ended by a signal; SystemExit with the exit code of one that has failed and
    said why.
    """
    ports, shares = worlds.free_ports(count), environment.shares(count)
    with contextlib.ExitStack() as stack:
        children = stack.enter_context(Children())
        logs = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(count)]
        ranks = [
            children.start(
                module,
                *arguments,
                cores=shares[rank],
                settings=worlds.settings(backend, rank, count, ports) | {LAUNCHED: "1"},
                stdout=None if rank == 0 else logs[rank],
                stderr=None if rank == 0 else logs[rank],
            )
            for rank in range(count)
        ]
        failed = watch(ranks)
        if failed is None:
            return
        code = ranks[failed].returncode
        if code < 0:
            raise RankFailed(
                f"rank {failed} of {count} was ended by {signal.Signals(-code).name}, and the others with it; --resume goes on "
                "from the last checkpoint"
            )
        if code == LOST:
            raise RankFailed(f"rank {failed} of {count} lost another rank, and all were ended")
        if failed > 0:  # rank 0 has said it here
            logs[failed].seek(0)
            ERR.print(logs[failed].read(), end="", markup=False, soft_wrap=True)
        raise SystemExit(code)


def watch(ranks: list) -> int | None:
    """Wait for all of them. When one fails the others are ended: which one it was, or None if all ended well."""
    while True:
        codes = [process.poll() for process in ranks]
        if all(code == 0 for code in codes):
            return None
        if any(codes):  # one has neither ended well nor still runs
            break
        time.sleep(0.02)
    if not any(code and code < 0 for code in codes):
        left = time.monotonic() + GRACE
        while time.monotonic() < left and any(process.poll() is None for process in ranks):
            time.sleep(0.02)
        codes = [process.poll() for process in ranks]
    for process in ranks:
        end(process)
    return first_to_blame(codes)


def first_to_blame(codes: list[int | None]) -> int:
    """The rank to name: one that a signal ended, else one that failed by itself, else one that lost another."""
    order = [lambda code: code < 0, lambda code: code not in (0, LOST), lambda code: code == LOST]
    return next(rank for test in order for rank, code in enumerate(codes) if code and test(code))


def without_option(arguments: list[str], name: str) -> list[str]:
    """A command line without the option `name` and its value."""
    left, given = [], iter(arguments)
    for argument in given:
        if argument == name:
            next(given, None)
        elif not argument.startswith(f"{name}="):
            left.append(argument)
    return left


def this_command() -> list[str]:
    """The arguments of this process's command line, without --workers."""
    return without_option(sys.argv[1:], "--workers")
