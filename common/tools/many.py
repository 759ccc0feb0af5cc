"""Many runs: `results`, `reproduce` and `bench` as shell lines of one run each, for a scheduler to carry out.

--list prints the lines, `--run NAME` is one of them, and --collect makes of the folders that they left what the command itself
makes. NAME is that of the run's folder below --out. A line that is given again goes on with what is there.
"""

import shlex
from collections.abc import Collection
from pathlib import Path

import typer

from common.data import absolute
from common.errors import UsageError

OF_ALL = (
    "listed",
    "collect",
    "jobs",
    "page",
    "publish",
    "against",
    "resume",
    "overwrite",
    "dry_run",
)  # not of a single run
NOT_TO_COLLECT = ("jobs", "resume", "overwrite", "out", "dry_run")
SHOWN = 8  # names of missing runs


def check(context: typer.Context) -> None:
    """Raises UsageError for an option that --run or --collect has no use for."""
    given = _given(context)
    options = {one.name: one.opts[0] for one in context.command.params}
    for option, useless in (("run", set(OF_ALL) - {"resume"}), ("collect", NOT_TO_COLLECT)):
        for other in given:
            if option in given and other in useless:
                raise UsageError(f"{options[option]} and {options[other]} exclude each other; give one of them")


def line(context: typer.Context, name: str, out: Path, **changed: object) -> str:
    """The shell line of the run `name` of this command, with what the user has said, `changed` (None: left out); it can be given
    in any folder."""
    said = {key: value for key, value in _given(context).items() if key not in OF_ALL}
    if said.get("data"):
        said["data"] = absolute(said["data"])
    if said.get("data_dir"):
        said["data_dir"] = said["data_dir"].absolute()
    # Links stay links: a home may be another folder on each node.
    return _line(context, said | {"run": name, "out": out.absolute()} | changed)


def missing(context: typer.Context, out: Path, names: Collection[str], planned: int) -> str:
    """One line for all runs that are missing in `out`: how many of those planned, which, and the command that lists them."""
    shown = [*names][:SHOWN] + ["..."] * (len(names) > SHOWN)
    return (
        f"{out}: {len(names)} of {planned} runs are missing: {', '.join(shown)}; "
        f"list their commands with: {_line(context, _given(context) | {'listed': True})}"
    )


def find(names: Collection[str], run: str) -> str:
    """`run`, if it is one of the `names`. Raises UsageError if not."""
    if run not in names:
        raise UsageError(f"--run: {run!r} is none of the {len(names)} runs of this command; --list shows them")
    return run


def _given(context):
    """{parameter: value} of those on the command line."""
    return {
        name: value
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }


def _line(context, values):
    words = ["tetrapla", context.command.name]
    for one in sorted(context.command.params, key=lambda one: one.param_type_name != "argument"):
        value = values.get(one.name)
        option = [] if one.param_type_name == "argument" else [one.opts[0]]
        if value is True:
            words += option
        elif value not in (None, False):
            for each in value if isinstance(value, list | tuple) else [value]:
                words += [*option, str(each)]
    return shlex.join(words)
