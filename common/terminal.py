"""The two consoles: results go to standard output, progress and errors to standard error."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

# What is printed is printed as it is: [x] in a path, a note or an error is no markup. Where style is wanted, it is a Text.
OUT = Console(highlight=False, markup=False)
ERR = Console(stderr=True, highlight=False, markup=False)


def progress_bar(label: str, quiet: bool = False) -> Progress:
    """A bar with count, a `note` field, time spent and time left; silent when standard error is no terminal."""
    return Progress(
        TextColumn(label, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=ERR,
        disable=quiet or not ERR.is_terminal,
    )
