"""Errors that a user can act on: one line each, shown without a traceback, with the exit code they carry."""

import difflib
from collections.abc import Iterable


class TetraplaError(Exception):
    """One clear line: the thing, what was expected, what to do."""

    exit_code = 1


class UsageError(TetraplaError):
    """The request cannot be understood or must not be carried out (unknown model, folder that exists)."""

    exit_code = 2


class MissingFramework(TetraplaError):
    """A backend was asked for whose framework cannot be imported."""

    exit_code = 3


class DataError(TetraplaError):
    """A data file is missing, truncated, corrupt or of the wrong kind."""


class NonFiniteLoss(TetraplaError):
    """A training step produced a loss that is NaN or infinite."""


class TrainingFailed(TetraplaError):
    """A process that was to train or to measure did not finish; it has said why."""


class RankLost(TetraplaError):
    """Another of the processes that train together is gone, or cannot be reached."""

    exit_code = 4


LOST = RankLost.exit_code


class CheckpointError(TetraplaError):
    """A checkpoint is unreadable or belongs to something else."""


class Interrupted(BaseException):
    """Ctrl-C, or a request of the system to end. Not an Exception, which libraries catch and go on."""

    def __init__(self, message: str, exit_code: int = 130):
        super().__init__(message)
        self.exit_code = exit_code


def choose(name: str, choices: Iterable[str]) -> str:
    """The end of a line that refuses `name`: the nearest of the choices, if one is near, and all of them."""
    choices = tuple(choices)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.65)
    return f"{f', did you mean {near[0]!r}?' if near else ';'} choose one of: {', '.join(choices)}"
