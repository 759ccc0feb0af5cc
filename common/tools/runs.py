"""The `runs` command: what was trained below a folder."""

from pathlib import Path

from rich.table import Table

from common import specs
from common.errors import UsageError
from common.tools.training import read_metrics, read_run


def listing(folder: Path) -> list[Table | str]:
    """A table with one row a run, newest last, and a line for each that cannot be read. Raises UsageError if `folder` is
    none."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder with runs; train one, or name another")
    result = Table("run", "model", "backend", "data", "steps", "last test losses", "seconds", "MiB")
    found = sorted(folder.rglob("run.json"), key=lambda path: path.stat().st_mtime)
    unreadable = []
    for path in found:
        try:
            result.add_row(*_row(path.parent, folder))
        except UsageError as error:
            unreadable.append(str(error))
    return [result if found else f"{folder}: no runs", *unreadable]


def _row(run, folder):
    description = read_run(run)
    rows = read_metrics(run / "metrics.jsonl") if (run / "metrics.jsonl").exists() else []
    done = max((row["step"] for row in rows), default=0)
    test = next((row["test"] for row in reversed(rows) if "test" in row), {})
    sessions, asked = description["sessions"], description["options"]["steps"]
    backends = " → ".join(dict.fromkeys(session["backend"] for session in sessions))
    objectives = {update.objective for update in specs.get(description["model"]).updates}
    losses = ", ".join(f"{name} {value:.4g}" for name, value in test.items() if name in objectives)
    seconds = sum(session.get("seconds", 0) for session in sessions)
    memory = max((session.get("peak_memory_mib") or 0 for session in sessions), default=0)
    labelled = description["options"].get("labelled")
    steps = f"{done:,}" if done == asked else f"{done:,} of {asked:,}"
    return (
        str(run.relative_to(folder)),
        description["model"] + (f", {labelled:,} labelled" if labelled else ""),
        backends,
        description["data"]["name"],
        steps,
        losses,
        (f"{seconds:.0f}" if seconds else ""),
        (f"{memory:,}" if memory else ""),
    )
