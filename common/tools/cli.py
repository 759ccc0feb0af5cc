"""The command `tetrapla`."""

import _thread
import importlib.util
import itertools
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

import backends
from common import environment, specs
from common.errors import Interrupted, MissingFramework, RankLost, TetraplaError, UsageError, choose
from common.terminal import ERR, OUT
from common.tools.articles import ARTICLES
from common.tools.launch import LAUNCHED, launch, this_command
from common.tools.logs import LOGS
from common.workers import World

app = typer.Typer(
    help="Generative models written in PyTorch, TensorFlow, PaddlePaddle and JAX, and proven to compute the same.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

LARGEST_SEED = 2**63 - 1  # JAX and TensorFlow hold a seed in 64 bits with a sign


def _check_seed(seed: int) -> int:
    if not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"--seed: expected 0 to {LARGEST_SEED} (2^63 - 1), found {seed}")
    return seed


def _names(choices):
    """What the shell completes: those of the names that begin as the word does."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in choices if name.startswith(incomplete)]

    return complete


MODEL_NAMES, BACKEND_NAMES = _names((*specs.SPECS, *specs.VARIANTS)), _names(backends.BACKENDS)
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model of `tetrapla list`.", autocompletion=MODEL_NAMES)
]
ModelsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all.", autocompletion=MODEL_NAMES)
]
BackendOption = Annotated[str, typer.Option(help="pytorch, tensorflow, paddle or jax.", autocompletion=BACKEND_NAMES)]
BackendsOption = Annotated[
    list[str] | None,
    typer.Option(help="Repeat for several; default: all installed.", autocompletion=BACKEND_NAMES),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="digits, mnist, streets, heads, chairs, svhn, celeba, or a folder with four IDX files or with pictures.",
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Where the data set's files are, or are downloaded to or kept; of chairs: a folder of OBJ meshes."
    ),
]
SeedOption = Annotated[int, typer.Option(callback=_check_seed, help="Of initial values, batch order and noise.")]
DeviceOption = Annotated[str, typer.Option(help="cpu or gpu.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the output folder if it exists.")]
WorkersOption = Annotated[
    int, typer.Option(min=1, help="Processes of this machine that train together, each with its share of the batch.")
]
ListOption = Annotated[
    bool,
    typer.Option(
        "--list",
        help="Print the commands of its runs, one a line, to run them elsewhere; with --collect, of those that are missing.",
    ),
]
RunOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Carry out, or go on with, this one run of --list and no other.")
]
CollectOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Train nothing; make the tables and pages of the runs that are in this folder."),
]
JobsOption = Annotated[int, typer.Option(min=1, help="Runs at a time; each gets its share of the cores.")]


def _version(asked: bool) -> None:
    if asked:
        OUT.print(f"tetrapla {environment.project()['version']}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command("list")
def list_() -> None:
    """List the models, articles and backends."""
    for title, found in (("Models", specs.SPECS), ("Variants of them", specs.VARIANTS)):
        models = Table("model", "parameters", "article", "original framework", "what it is", title=title)
        models.columns[0].no_wrap = True
        for spec in found.values():
            article = ARTICLES[spec.about.article]
            models.add_row(
                spec.name, f"{spec.parameter_count():,}", spec.about.article, article.frameworks, spec.about.title
            )
        OUT.print(models)
    columns = Table("backend", "installed", "to install", title="Backends")
    for backend in backends.BACKENDS:
        versions = backends.versions(backend)
        found = ", ".join(f"{name} {version}" for name, version in versions.items()) if versions else "no"
        columns.add_row(backend, found, "" if versions else f"pip install -e '.[{backend}]'")
    OUT.print(columns)


@app.command()
def show(
    model: ModelArgument,
    backend: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BACKEND]...",
            help="With --code: whose implementations; default: all four.",
            autocompletion=BACKEND_NAMES,
        ),
    ] = None,
    code: Annotated[bool, typer.Option("--code", help="The model's files instead, side by side.")] = False,
) -> None:
    """Show the specification of a model as tables: layers, shapes, parameter counts, noise, updates."""
    from common.tools import show

    if backend and not code:
        raise UsageError("backends choose the implementations that --code shows; add it, or leave them out")
    if code:
        columns = tuple(dict.fromkeys(backends.check_name(name) for name in backend or backends.BACKENDS))
        OUT.print(show.code(specs.get(model), columns))
        return
    for table in show.tables(specs.get(model)):
        OUT.print(table)


@app.command()
def diff(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A Python file with inputs(rng), reference() and port(); or, with --backend, a model of `tetrapla list`.",
        ),
    ],
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="Given twice, for a model of `tetrapla list`: the reference's, then the port's.",
            autocompletion=BACKEND_NAMES,
        ),
    ] = None,
    reference_python: Annotated[
        Path | None, typer.Option(help="Python interpreter that runs reference(); default: this one.")
    ] = None,
    port_python: Annotated[
        Path | None, typer.Option(help="Python interpreter that runs port(); default: this one.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a side may take for one answer.")] = 300.0,
    dtype: Annotated[str | None, typer.Option(help="float64 or float32; default: float64, if both sides can.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for verdict.json and page.html.")] = None,
) -> None:
    """Find where a port of any model diverges from its original, and why. Exit code 0: equal, 1: different, 2: not judged."""
    from common.tools.diff import judge, own, page, report, sides
    from common.tools.diff.verdict import DIFFERENT, EXIT

    if dtype not in (None, "float64", "float32"):
        raise UsageError(f"--dtype: expected float64 or float32, found {dtype!r}")
    for python in (reference_python, port_python):
        if python and not python.is_file():
            raise UsageError(f"{python}: no such interpreter; name the python of an environment")
    pythons = tuple(str(one) if one else None for one in (reference_python, port_python))
    if backend and len(backend) != 2:
        raise UsageError(f"--backend: expected two, the reference's and the port's, found {len(backend)}")
    if out and not _is_free(out):
        raise UsageError(f"--out: {out} cannot be a folder that is written to; name another")
    try:
        with tempfile.TemporaryDirectory() as folder:
            chosen = own.written(str(file), *backend, Path(folder)) if backend else file
            verdict = judge.diff(chosen, timeout=timeout, pythons=pythons, dtype=dtype)
        OUT.print(report.shown(verdict))
        if out:
            page.write(verdict, out)
    except sides.SideFailed as error:
        for line in error.lines:
            ERR.print(line, soft_wrap=True)
        raise
    except Interrupted as error:
        raise Interrupted("interrupted; nothing was judged, and nothing is left behind", error.exit_code) from None
    except OSError as error:  # 1 would say that they differ
        raise UsageError(f"{error.filename or 'a file'}: {error.strerror or error}") from None
    except TetraplaError as error:
        if error.exit_code != EXIT[DIFFERENT]:
            raise
        raise UsageError(str(error)) from None
    except Exception:
        ERR.print(traceback.format_exc(), end="", soft_wrap=True)
        raise UsageError("an error of tetrapla's own, above; nothing was judged, please report it") from None
    raise typer.Exit(EXIT[verdict.outcome])


def _is_free(folder: Path) -> bool:
    """Whether it is a folder, or can be made one, and can be written to."""
    while not folder.exists() and not folder.is_symlink():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


@app.command()
def compare(
    models: ModelsArgument = None,
    backend: BackendsOption = None,
    data: DataOption = "digits",
    data_dir: DataDirOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("runs/compare"),
    seed: SeedOption = 0,
    steps: Annotated[int, typer.Option(min=1, help="Updates in the last stage, and of the deviation's curve.")] = 100,
    rate: Annotated[
        float | None, typer.Option(min=0, help="Multiply the learning rates by this; default: the model's choice.")
    ] = None,
    train_steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps of the short training; default: 300, 100 of larger models, 30 of convolutional ones."
        ),
    ] = None,
    train_epochs: Annotated[int | None, typer.Option(min=1, help="Instead of --train-steps.")] = None,
    workers: WorkersOption = 1,
    device: DeviceOption = "cpu",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted comparison in --out: what was found is kept.")
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Prove backends equal, stage by stage, and train them side by side. Exit code 1 if any differs."""
    from common import parity
    from common.data import absolute, load
    from common.tools.compare import compare as compare_all
    from common.tools.show import comparison_row, comparison_tables
    from common.tools.training import batch_size, prepare_folder

    chosen = [specs.get(name) for name in models] if models else list(specs.SPECS.values())
    columns = _columns(backend)
    dataset = load(data, data_dir)
    _check_device(device)
    for spec in chosen:
        for batch in (parity.Case.batch, batch_size(spec, dataset)):
            World(count=workers).check_batch(batch)
    if not resume:
        prepare_folder(out, resume=False, overwrite=overwrite)
    elif out.exists() and not any((out / name).exists() for name in ("oracle.log", "report.json")):
        raise UsageError(f"{out}: expected the folder of a comparison, to go on with it; choose another --out")
    reports = compare_all(
        chosen,
        columns,
        dataset,
        out,
        data_name=absolute(data),
        data_dir=data_dir,
        seed=seed,
        steps=steps,
        rate=rate,
        train_steps=train_steps,
        train_epochs=train_epochs,
        workers=workers,
        device=device,
        proven=lambda report: OUT.print(comparison_row(report, columns), soft_wrap=True),
    )
    for table in comparison_tables(reports, columns, dataset, steps):
        OUT.print(table, markup=True)
    OUT.print(f"Report: {out / 'report.html'}, {out / 'report.json'}", soft_wrap=True)
    if not all(report.passed for report in reports):
        raise typer.Exit(1)


@app.command()
def train(
    model: ModelArgument,
    backend: BackendOption,
    data: DataOption = "digits",
    data_dir: DataDirOption = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the article's length.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of --epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Default: the article's.")] = None,
    seed: SeedOption = 0,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    noise: Annotated[
        str, typer.Option(help="native (drawn on the device) or replayed (same bits everywhere).")
    ] = "native",
    device: DeviceOption = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the framework, on as many cores; default: all.")
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints. Default: at each evaluation.")
    ] = None,
    as_published: Annotated[
        bool, typer.Option("--as-published", help="With the mistake that the article's code has; for aae in PyTorch.")
    ] = False,
    evaluate_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between evaluations. Default: an epoch, or 200 steps if longer.")
    ] = None,
    keep: Annotated[
        int, typer.Option(min=0, help="At each evaluation keep samples and the codes of this many test images.")
    ] = 0,
    labelled: Annotated[
        int | None,
        typer.Option(min=1, help="Training images whose labels may be used, of models that use some. Default: 1,000."),
    ] = None,
    workers: WorkersOption = 1,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that several processes wait for each other.")
    ] = backends.TIMEOUT,
    log: Annotated[
        str | None, typer.Option(help="tensorboard: losses, evaluations and pictures for it, in OUT/tensorboard.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Default: runs/MODEL-BACKEND.")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in the output folder, in any backend, or begin it there."),
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Train one model in one backend; metrics, checkpoints and pictures go to a folder."""
    from common import worlds
    from common.data.batches import row_sets
    from common.tools import training

    spec = specs.as_published(model) if as_published else specs.get(model)
    spec = spec.with_labelled(labelled) if labelled else spec
    _check_installed(backends.check_name(backend))
    _check_choice("--dtype", dtype, ("float32", "float64"))
    _check_choice("--noise", noise, ("native", "replayed"))
    _check_device(device)
    if log:
        _check_choice("--log", log, LOGS)
        _check_extra("log", "tensorboardX")
    if epochs and steps:
        raise UsageError("--epochs and --steps exclude each other; give one of them")
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other; give one of them")
    dataset = _load(data, data_dir, spec)
    batch = batch_size or training.batch_size(spec, dataset)
    total = training.steps_of(spec, dataset, batch, epochs, steps)
    out = out or Path("runs") / f"{spec.name}-{backend}"
    options = training.Options(
        backend, total, batch, seed, dtype, device, noise, checkpoint_every, evaluate_every, keep, log
    )
    row_sets(spec, dataset.train, seed)  # told before anything is written
    World(count=workers).check_batch(batch)
    place = worlds.adopt(backend)
    if place and workers > 1:
        raise UsageError(f"--workers {workers}: this is rank {place.rank} of {place.count} already; leave it out")
    if not (place and place.rank):
        training.prepare_folder(out, resume=resume, overwrite=overwrite)
    if workers > 1:
        launch(backend, workers, "common.tools.cli", this_command())
        return
    _hold_to(threads)
    with backends.joined(backend, device, place, timeout) as world:
        _, result = training.train(spec, dataset, options, out, resume=resume, world=world)
    if not world.leads:
        return
    losses = ", ".join(f"{name} {value:.6g}" for name, value in result["test"].items())
    memory = training.read_run(out)["sessions"][-1]["peak_memory_mib"]
    OUT.print(
        f"{spec.name} in {backend} on {dataset.name}: step {result['step']}, epoch {result['epoch']:g}, "
        f"test per image: {losses}; {result['seconds']:.1f} s, at most {memory or '?'} MiB; {out}",
        soft_wrap=True,
    )


@app.command()
def reproduce(
    context: typer.Context,
    article: Annotated[
        str, typer.Argument(metavar="ARTICLE", help="An article of `tetrapla list`.", autocompletion=_names(ARTICLES))
    ],
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="One of its models; default: all.", autocompletion=MODEL_NAMES),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="Default: the article's original framework.", autocompletion=BACKEND_NAMES)
    ] = None,
    scale: Annotated[float, typer.Option(help="Times the article's length: 0.01 for a trial.")] = 1.0,
    data: Annotated[str | None, typer.Option("--data", help="Default: the article's, mnist for most.")] = None,
    data_dir: DataDirOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    jobs: JobsOption = 1,
    out: Annotated[Path | None, typer.Option(help="Default: runs/reproduce/ARTICLE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the output folder holds.")] = False,
    overwrite: OverwriteOption = False,
    publish: Annotated[
        Path | None,
        typer.Option(help="Also write a Markdown page below this folder: docs/articles, for this repository."),
    ] = None,
    listed: ListOption = False,
    run: RunOption = None,
    collect: CollectOption = None,
) -> None:
    """Train an article's models as the article has them, draw its figures, check its claims, write one page."""
    from common.tools import many, reproduction
    from common.tools.reproduction.report import checks_table
    from common.tools.training import prepare_folder

    if article not in ARTICLES:
        raise UsageError(f"unknown article {article!r}{choose(article, ARTICLES)}")
    _check_scale(scale)
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other; give one of them")
    many.check(context)
    data = data or ARTICLES[article].data
    chosen = {
        one.name: one
        for one in reproduction.runs(article, model, backend and backends.check_name(backend), scale, seed)
    }
    _check_device(device)
    out = collect or out or Path("runs/reproduce") / article
    if listed and not collect:
        _print_lines(many.line(context, name, out) for name in chosen)
        return
    if run:
        chosen = {run: chosen[many.find(chosen, run)]}
    if not collect:
        for name in dict.fromkeys(one.backend for one in chosen.values()):
            _check_installed(name)
    dataset = _load(data, data_dir, *(specs.get(one.model) for one in chosen.values()))
    how = {"data_name": data, "data_dir": data_dir, "device": device}
    if run:

        def train_here(words: list) -> None:
            app([str(word) for word in words], standalone_mode=False)

        result = reproduction.single(article, chosen[run], dataset, out, train_here, **how)
        OUT.print(f"{run}: {result.steps:,} steps; {result.folder}", soft_wrap=True)
        return
    if collect:
        gone = reproduction.missing(chosen.values(), dataset, out)
        if listed:
            _print_lines(many.line(context, name, out) for name in gone)
            return
        if gone:
            raise UsageError(many.missing(context, out, gone, len(chosen)))
    elif out.exists() and not (resume or overwrite):
        raise UsageError(f"{out}: the folder exists; choose another --out, or add --resume or --overwrite")
    for name in chosen if overwrite else ():
        prepare_folder(out / name, resume=False, overwrite=True)
    runs = list(chosen.values())
    if collect:
        report = reproduction.collect(article, runs, dataset, out, scale=scale)
    else:
        report = reproduction.reproduce(article, runs, dataset, out, scale=scale, jobs=jobs, **how)
    OUT.print(checks_table(report))
    OUT.print(f"Report: {out / 'report.html'}, {out / 'report.json'}", soft_wrap=True)
    if publish:
        OUT.print(f"Page: {reproduction.publish(out, publish)}", soft_wrap=True)


@app.command()
def results(
    context: typer.Context,
    models: ModelsArgument = None,
    backend: BackendsOption = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many of every model: 0, 1, ... Default: 20 of the small, 5 at least.")
    ] = None,
    scale: Annotated[float, typer.Option(help="Times the table's lengths: 0.01 for a trial.")] = 1.0,
    data: DataOption = "mnist",
    data_dir: DataDirOption = None,
    device: DeviceOption = "cpu",
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes at a time, each with its share of the cores; default: one a core, one on a GPU."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs; what is trained there already is used.")] = Path(
        "runs/results"
    ),
    page: Annotated[
        Path | None, typer.Option(help="A page into which the tables are put, with their numbers as JSON next to it.")
    ] = None,
    listed: ListOption = False,
    run: RunOption = None,
    collect: CollectOption = None,
) -> None:
    """Train every model in every backend from several seeds, and decide by a test of equivalence whether they agree."""
    _check_extra("results", "statsmodels")
    from common.tools import many
    from common.tools import results as table

    many.check(context)
    _check_scale(scale)
    chosen = table.check_models(models or [])
    columns = _named(backend) if listed or collect else _columns(backend)
    _check_device(device)
    out, names = collect or out, table.names(chosen, columns, seeds)

    def lines(wanted: Collection[str]) -> Iterator[str]:
        return (
            many.line(context, name, out, models=[model], backend=[column])
            for name, (model, column, _) in names.items()
            if name in wanted
        )

    if listed and not collect:
        _print_lines(lines(names))
        return
    if run:
        names = {run: names[many.find(names, run)]}
        chosen = [names[run][0]]
    dataset = _load(data, data_dir, *map(specs.get, chosen))
    if run:
        found = table.single(*names[run], dataset, out, scale=scale, device=device)
        values = ", ".join(f"{name} {value:.6g}" for name, value in found.values.items())
        OUT.print(f"{run}: {found.failed or values}", soft_wrap=True)
    elif collect:
        gone = [name for name, one in table.there(chosen, columns, seeds, dataset, out, scale).items() if one is None]
        if listed:
            _print_lines(lines(gone))
            return
        text = table.collect(chosen, columns, seeds, dataset, out, scale=scale, page=page)
        if gone:
            ERR.print(many.missing(context, out, gone, len(names)), soft_wrap=True)
        OUT.print(text, soft_wrap=True)
    else:
        jobs = jobs or (1 if device == "gpu" else environment.cores())
        how = {"data_name": data, "data_dir": data_dir, "device": device, "scale": scale, "page": page, "jobs": jobs}
        OUT.print(table.results(chosen, columns, seeds, dataset, out, **how), soft_wrap=True)


@app.command()
def bench(
    context: typer.Context,
    models: ModelsArgument = None,
    backend: BackendsOption = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            help="naive, compiled, fast, sampling; on a GPU tf32, bfloat16; repeat for several; default: all."
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Default: the model's.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of every framework; default: the cores.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds, in which all are measured in turn.")] = 5,
    seconds: Annotated[float, typer.Option(help="Of one repeat.")] = 1.0,
    data: DataOption = "digits",
    data_dir: DataDirOption = None,
    device: DeviceOption = "cpu",
    sweep: Annotated[
        str | None, typer.Option(help="Over several batch sizes (batch) or hidden units of vae (width).")
    ] = None,
    with_peers: Annotated[
        bool, typer.Option("--peers", help="Also time vae by Keras 3's fit and by PyTorch's own example loop.")
    ] = False,
    workers: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Time steps that so many processes share, with as many cores in all; repeat for several: 1 2."
        ),
    ] = None,
    publish: Annotated[
        str | None, typer.Option(metavar="NAME", help="Also keep it in benchmarks/results and docs/benchmarks.md.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted benchmark in --out.")] = False,
    against: Annotated[Path | None, typer.Option(help="An older result.json: say what moved beyond the noise.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for result.json and the plot.")] = Path("runs/bench"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be measured, and for how long; start nothing.")
    ] = False,
    listed: ListOption = False,
    run: RunOption = None,
    collect: CollectOption = None,
) -> None:
    """Time training steps and sampling of proven backends, interleaved, next to a lower bound that none can beat."""
    from benchmarks import groups, peers, suite
    from benchmarks.cases import SWEPT, cases
    from benchmarks.worker import LOWERED, MODES
    from common.data import absolute, load
    from common.tools import bench as report
    from common.tools import many

    many.check(context)
    chosen = [specs.get(name).name for name in models] if models else list(specs.SPECS)
    if sweep:
        _check_choice("--sweep", sweep, ("batch", "width"))
        chosen = chosen if models else [SWEPT]
        if sweep == "width" and chosen != [SWEPT]:
            raise UsageError(f"--sweep width: only {SWEPT} has a width to sweep; leave out the other models")
    here = [name for name in MODES if device == "gpu" or name not in LOWERED]
    modes = list(dict.fromkeys(mode)) if mode else ["fast"] if sweep else here
    for name in modes:
        _check_choice("--mode", name, MODES)
        if name not in here:
            raise UsageError(f"--mode {name}: a GPU's; on a CPU choose one of: {', '.join(here)}")
    if with_peers:
        if device != "cpu" or peers.MODEL not in chosen:
            raise UsageError(f"--peers: they train {peers.MODEL} on a CPU; name it among the models, with --device cpu")
        modes += peers.MODES
    columns = _named(backend) if listed or collect or dry_run else _columns(backend)
    _check_device(device)
    old = report.read(against) if against else None
    settings = suite.Settings(
        data=absolute(data),
        data_dir=str(data_dir.absolute()) if data_dir else None,
        device=device,
        threads=threads or environment.cores(),
        repeats=repeats,
        seconds=seconds,
    )
    if workers:
        if listed or run or collect or dry_run:
            raise UsageError("--workers is one measurement; leave out --list, --run, --collect and --dry-run")
        from common.tools import bench_workers as shared

        shown = cases(chosen, batch_size, sweep)
        for case, count in itertools.product(shown, workers):
            World(count=count).check_batch(case.batch)
        result = groups.run(shown, columns, workers, settings, keep=lambda result: shared.write(result, out))
        paths = [shared.write(result, out)] + (shared.publish(result, publish) if publish else [])
        OUT.print(Markdown(shared.table(result)))
        OUT.print(f"Result: {', '.join(map(str, paths))}", soft_wrap=True)
        if any("problem" in row for row in result["rows"]):
            raise typer.Exit(1)
        return
    if dry_run and not listed:
        shown = cases(chosen, batch_size, sweep)
        for part in report.plan(suite.plan(shown, columns, modes, settings, [*report.kept().values()]), settings):
            OUT.print(part)
        return
    out, wanted = collect or out, {case.name: case for case in cases(chosen, batch_size, sweep)}

    def single(name: str) -> dict | None:
        """What the run of this name left, None if it is not whole."""
        return report.single(out / name, vars(settings), suite.keys(wanted[name], columns, modes))

    def lines(names: Iterable[str]) -> Iterator[str]:
        for name in names:
            peer = (with_peers and wanted[name].model == peers.MODEL) or None
            own = {"models": [wanted[name].model], "backend": columns, "threads": settings.threads, "with_peers": peer}
            yield many.line(context, name, out, **own)

    if listed and not collect:
        _print_lines(lines(wanted))
        return
    if run:
        wanted = {many.find(wanted, run): wanted[run]}
    if collect:
        found = {name: single(name) for name in wanted}
        gone = [name for name, result in found.items() if result is None]
        if listed:
            _print_lines(lines(gone))
            return
        if gone:
            raise UsageError(many.missing(context, out, gone, len(wanted)))
        result = suite.joined(list(found.values()))
    elif not run or (result := single(run)) is None:
        load(data, data_dir)
        out = out / run if run else out
        here = suite.measured_on(columns) if run else None  # what is begun on one node may go on upon another
        done = report.unfinished(out, vars(settings), here) if resume or run else []
        result = suite.run(
            list(wanted.values()), columns, modes, settings, done, keep=lambda result: report.write(result, out)
        )
    else:
        out = out / run
    paths = report.write(result, out) + (report.publish(result, publish) if publish else [])
    for part in report.tables(result):
        OUT.print(part)
    for line in report.compare(old, result) if old else ():
        OUT.print(line)
    OUT.print(f"Result: {', '.join(map(str, paths))}", soft_wrap=True)
    if any("median" not in row for row in result["rows"]):
        raise typer.Exit(1)


@app.command()
def profile(
    model: ModelArgument,
    backend: BackendOption,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Default: the model's.")] = None,
    updates: Annotated[int, typer.Option(min=1, help="How many to look at.")] = 50,
    threads: Annotated[int | None, typer.Option(min=1, help="Of the framework; default: the cores.")] = None,
    data: DataOption = "digits",
    data_dir: DataDirOption = None,
    top: Annotated[int, typer.Option(min=1, help="How many operators to name.")] = 15,
) -> None:
    """Show where the time of an update goes on this CPU, operator by operator, by the framework's own profiler."""
    from benchmarks.profile import profile, table
    from benchmarks.worker import enough
    from common.data.batches import batch_indices, row_sets
    from common.data.fitted import fitted_dataset
    from common.parameters import initial_parameters

    spec = specs.get(model)
    _check_installed(backends.check_name(backend))
    batch = batch_size or spec.training.batch_size
    images = enough(fitted_dataset(spec, data, data_dir).train, batch)
    _hold_to(threads or environment.cores())
    column = backends.create(backend, spec, initial_parameters(spec, 0))
    column.upload(images)
    indices = batch_indices(row_sets(spec, images, 0), batch, 0, range(updates))
    OUT.print(table(f"{spec.name} in {backends.TITLES[backend]}", *profile(backend, column, indices), top))


@app.command()
def site(
    out: Annotated[Path, typer.Option(help="A new or empty folder, or an earlier site.")] = Path("site"),
    compare: Annotated[Path | None, typer.Option(help="A folder of `tetrapla compare`; default: docs/parity.")] = None,
    bench: Annotated[
        list[Path] | None,
        typer.Option(help="A result.json of `tetrapla bench`; repeat for several; default: benchmarks/results/*.json."),
    ] = None,
) -> None:
    """Write the pages that show the four implementations side by side, with the results there are; open them from disk."""
    from common.tools.site.build import build

    if compare and not compare.exists():
        raise UsageError(f"{compare}: expected a folder of `tetrapla compare`, found nothing")
    index = build(out, compare, bench)
    OUT.print(f"Site: {index}", soft_wrap=True)


@app.command()
def sample(
    run: Annotated[Path, typer.Argument(help="The folder of a training run.")],
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many samples.")] = 64,
    backend: Annotated[
        str | None, typer.Option(help="Default: the backend that trained the run.", autocompletion=BACKEND_NAMES)
    ] = None,
    seed: SeedOption = 0,
    out: Annotated[Path | None, typer.Option(help="The PNG to write; default: RUN/samples.png.")] = None,
) -> None:
    """Draw samples from a trained model, in any backend."""
    from common.tools.sampling import sample_run

    path = sample_run(run, count=count, backend=backend, seed=seed, out=out)
    OUT.print(f"{count} samples: {path}", soft_wrap=True)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to look, at any depth.")] = Path("runs"),
) -> None:
    """List the training runs below a folder: how far they are, and their last losses."""
    from common.tools.runs import listing

    for part in listing(folder):
        OUT.print(part, soft_wrap=isinstance(part, str))


@app.command()
def convert(
    run: Annotated[Path, typer.Argument(help="The folder of a training run.")],
    to: BackendOption,
    out: Annotated[Path | None, typer.Option(help="Default: RUN/export-BACKEND.")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Export a trained model for users of one framework: its own file format, and a script that loads it without us."""
    from common.tools.export import export

    _check_installed(backends.check_name(to))
    path = export(run, to, out or run / f"export-{to}", overwrite=overwrite)
    OUT.print(f"{run} for {to}: {path}; see {path / 'README.md'}", soft_wrap=True)


@app.command()
def take(
    model: Annotated[str, typer.Argument(help="Which model.", autocompletion=MODEL_NAMES)],
    backend: BackendOption,
    out: Annotated[
        Path | None, typer.Option(help="The file; default: MODEL_BACKEND.py, or .ipynb, in this folder.")
    ] = None,
    notebook: Annotated[
        bool, typer.Option("--notebook", help="The same as a notebook that gets MNIST by itself.")
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Write one model in one framework as a single file of yours: it needs that framework and NumPy, and nothing of ours."""
    from common.tools.take import file_name, take_file

    if notebook:
        _check_extra("take", "nbformat")
    spec, backend = specs.get(model), backends.check_name(backend)
    path = out or Path(file_name(spec, backend)).with_suffix(".ipynb" if notebook else ".py")
    if path.exists() and not overwrite:
        raise UsageError(f"{path}: the file exists; choose another --out, or add --overwrite")
    take_file(spec, backend, path, notebook=notebook)
    OUT.print(f"{spec.name} in {backends.TITLES[backend]}: {path}; its first lines say how to run it", soft_wrap=True)


def _load(data: str, data_dir: Path | None, *chosen: specs.Spec):
    """The data set in the picture that all the models take."""
    from common.data import load
    from common.data.batches import check_picture

    dataset = load(data, data_dir, chosen[0].images.picture)
    for spec in chosen:
        check_picture(spec, dataset.name, dataset.train_images)
    return dataset


def _check_installed(backend: str) -> None:
    if backends.versions(backend) is None:
        raise MissingFramework(backends.not_installed(backend))


def _check_extra(extra: str, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingFramework(f"{package} is not installed; install it with: pip install -e '.[{extra}]'")


def _columns(chosen: list[str] | None) -> tuple[str, ...]:
    """The backends asked for, or all that are installed."""
    columns = tuple(dict.fromkeys(backends.check_name(name) for name in chosen)) if chosen else backends.installed()
    if not columns:
        raise MissingFramework("no backend is installed; install all four with: pip install -e '.[all]'")
    for name in columns:
        _check_installed(name)
    return columns


def _named(chosen: list[str] | None) -> tuple[str, ...]:
    """The backends asked for, which need not be installed here, or all that are; where none is, all four."""
    names = tuple(dict.fromkeys(backends.check_name(name) for name in chosen or ()))
    return names or backends.installed() or tuple(backends.BACKENDS)


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)  # whole, whatever the width of the terminal


def _check_scale(scale: float) -> None:
    if not 0 < scale <= 1:
        raise UsageError(f"--scale: expected above 0 and at most 1, found {scale:g}")


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{option}: {value!r} is unknown{choose(value, choices)}")


def _check_device(device: str) -> None:
    _check_choice("--device", device, ("cpu", "gpu"))


def _hold_to(threads: int | None) -> None:
    """This process and its framework, which must not be imported yet, to so many threads and cores."""
    if threads:
        os.environ.update(environment.thread_settings(*environment.shares(1, threads)))


def _interrupt(number, frame):
    raise Interrupted(
        "interrupted; what was saved is whole, and --resume continues a training run from there", 128 + number
    )


def _interrupt_again(lost) -> None:
    """An exception that Python drops, as it does where a signal arrives in the callback of a library's garbage collection."""
    if isinstance(lost.exc_value, Interrupted):
        threading.Timer(0.05, _thread.interrupt_main, [lost.exc_value.exit_code - 128]).start()
    else:
        sys.__unraisablehook__(lost)


def main() -> None:
    """Entry point: errors that a user can act on become one line and an exit code; typer words its own."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # of SIGINT typer would say no more than "Aborted."
        if signal.getsignal(number := getattr(signal, name, signal.SIGINT)) != signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, _interrupt)
    sys.unraisablehook = _interrupt_again
    try:
        if environment.project() is None:
            raise UsageError("Tetrapla runs from its clone, and was installed without it; there: pip install -e .")
        app()
    except Interrupted as error:
        ERR.print(f"error: {error}", soft_wrap=True)
        sys.exit(error.exit_code)
    except TetraplaError as error:
        # Of a rank that is gone the launcher tells, and names it.
        if not (isinstance(error, RankLost) and os.environ.get(LAUNCHED)):
            ERR.print(f"error: {error}", soft_wrap=True)
        sys.exit(error.exit_code)
    except OSError as error:
        ERR.print(f"error: {error.filename or 'file'}: {error.strerror or error}", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
