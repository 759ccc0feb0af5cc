"""The two consoles: results go to standard output, progress and errors to standard error."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

OUT = Console(highlight=False)
ERR = Console(stderr=True, highlight=False)


def progress_bar(label: str, quiet: bool = False) -> Progress:
    """A bar with count, a `note` field, time spent and time left; silent when standard error is no terminal."""
    return Progress(
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=ERR,
        disable=quiet or not ERR.is_terminal,
    )
