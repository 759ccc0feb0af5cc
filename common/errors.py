"""Errors that a user can act on: one line each, shown without a traceback, with the exit code they carry."""


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


class CheckpointError(TetraplaError):
    """A checkpoint is unreadable or belongs to something else."""


class Interrupted(TetraplaError):
    """Ctrl-C."""

    exit_code = 130
