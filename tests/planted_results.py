"""Whether statistics over seeds notice a wrong optimiser, and whether the float64 stages do.

    python -m tests.planted_results --honest runs/results [--model vae] [--backend jax] [--seeds 20] [--page docs/results.md]

`tetrapla results` has trained the model in every framework into --honest. Here one framework trains it again, from the same seeds,
with an optimiser that is not the specification's; its column takes the honest one's place, and the table is judged as
`results` judges it. The staged comparison (common.parity) is asked about the same column. Runs are kept in --out and used
again; the table goes into --out as planted.md and planted.json, and into --page.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import backends
from backends import TITLES
from common import data as datasets
from common import environment, parity
from common.checkpoint import write_atomically, write_json
from common.data import Dataset, digits
from common.errors import TetraplaError, UsageError
from common.processes import in_turn
from common.specs import SPECS, get
from common.specs.records import Spec
from common.tools import results
from common.tools.evaluation.equivalence import EQUIVALENT, Verdict, judge
from common.tools.pages import check_place, put_between
from common.tools.reproduction import measures
from common.tools.results_page import of_row, shown_verdict
from common.tools.results_worker import carry, folder, options

MISTAKES = {"epsilon": ("Keras's ε, 1e-7 for 1e-8", 1e-7), "beta2": ("β2 0.99 for 0.999", 0.99)}
BEGIN, END = "<!-- planted: made by python -m tests.planted_results -->", "<!-- end of planted -->"


def planted(model: str, field: str) -> Spec:
    """The specification with one number of every optimiser wrong."""
    spec = get(model)
    wrong = tuple(
        dataclasses.replace(u, optimizer=dataclasses.replace(u.optimizer, **{field: MISTAKES[field][1]}))
        for u in spec.updates
    )
    return dataclasses.replace(spec, updates=wrong)


def prove(spec: Spec, backend: str) -> dict:
    """Where the column of a planted `spec` first parts from the oracle's honest one, in float64."""
    case = parity.Case(get(spec.name).calmed(), digits.load().train, steps=0)  # both fail at the first update
    column = backends.create(backend, spec.calmed(), case.parameters(), dtype="float64")
    stages = parity.compare(parity.truth(case, "float64"), parity.collect(column, case, "float64"), "float64")
    failed = [stage for stage in stages if not stage.passed]
    if not failed:
        return {"stage": None}
    return {"stage": failed[0].name, "tensor": failed[0].tensor, "bars": failed[0].times_floor / parity.FACTOR}


def work(model: str, field: str, backend: str, steps: str, seeds: str, data_name: str, data_dir: str, out: str) -> None:
    """In a process of its own: train these seeds; without seeds, prove."""
    spec, place = planted(model, field), Path(out)
    if not seeds:
        write_json(place / "proof.json", prove(spec, backend))
        return
    data = datasets.load(data_name, Path(data_dir) if data_dir else None, spec.images.picture)
    space = measures.features(data) if spec.sample else None
    for seed in map(int, seeds.split(",")):
        settings = options(spec, backend, int(steps), seed, data)
        carry(spec, settings, data, space, folder(place, model, backend, seed))


def train(field: str, chosen, steps: int, data: Dataset, out: Path) -> list[results.Measured]:
    """The planted column, proven and trained; what is there already is used."""
    spec, out = planted(chosen.model, field), out / field
    out.mkdir(parents=True, exist_ok=True)

    def read():
        for seed in range(chosen.seeds):
            settings = options(spec, chosen.backend, steps, seed, data)
            yield results.read(folder(out, spec.name, chosen.backend, seed), spec, settings, data)

    missing = [str(seed) for seed, one in enumerate(read()) if one is None]
    size = max(1, min(results.BLOCK, -(-len(missing) // chosen.jobs)))
    tasks = [",".join(missing[k : k + size]) for k in range(0, len(missing), size)]
    tasks += [] if (out / "proof.json").exists() else [""]
    name, place = datasets.absolute(chosen.data), chosen.data_dir.resolve() if chosen.data_dir else ""

    def one(number, seeds, cores, children):
        print(f"{MISTAKES[field][0]}: {f'seeds {seeds}' if seeds else 'proof'}", file=sys.stderr, flush=True)
        words = (chosen.model, field, chosen.backend, steps, seeds, name, place, out)
        children.carry_through("tests.planted_results", "work", *words, cores=cores, alone=False, advice="mend it")

    in_turn(tasks, chosen.jobs, one)
    return list(read())


def honest(chosen, steps: int, data: Dataset) -> list[results.Measured]:
    """The runs of `tetrapla results` in every framework. Raises UsageError if one is missing."""
    found = []
    for backend in backends.BACKENDS:
        block = results.Block(chosen.model, backend, steps, tuple(range(chosen.seeds)))
        runs = results.read_block(chosen.honest, block, data)
        if missing := [str(seed) for seed, one in runs.items() if one is None]:
            raise UsageError(
                f"{chosen.honest}: no run of {chosen.model} in {backend} over {steps:,} steps from seeds "
                f"{', '.join(missing)}; train them first: tetrapla results {chosen.model} --seeds {chosen.seeds}"
            )
        found += runs.values()
    return found


def judged(field: str, chosen, true: list[results.Measured], wrong: list[results.Measured]) -> list[dict]:
    """A row a measure: what the mistake does in its own framework, and what is said of the column beside the three others."""
    found = []
    others = [one for one in true if one.backend != chosen.backend]
    for row in results.rows(others + wrong):
        own = next(one for one in results.rows(true) if one.measure == row.measure)
        (effect,) = judge({"planted": row.values[chosen.backend], "honest": own.values[chosen.backend]}, row.margin)
        verdicts = [one for one in row.verdicts() if chosen.backend in (one.a, one.b)]
        about = of_row(row, verdicts) | {"mistake": field, "statistics": said(verdicts)}
        found.append(about | {"effect": dataclasses.asdict(effect)})
    return found


def said(verdicts: list[Verdict]) -> str:
    """What becomes of a planted column by the verdicts on it and the three others."""
    equivalent = all(one.verdict == EQUIVALENT for one in verdicts)
    if any(one.significant for one in verdicts):
        return "notice it, inside δ" if equivalent else "notice it"
    return "let it pass as equivalent" if equivalent else "are undecided"


def table(rows: list[dict], proofs: dict[str, dict], chosen) -> str:
    others = [name for name in backends.BACKENDS if name != chosen.backend]
    titles = " | ".join(f"and {TITLES[name]}" for name in others)
    lines = [
        f"`{chosen.model}` in {TITLES[chosen.backend]}, {rows[0]['steps']:,} steps, {chosen.seeds} seeds:",
        "",
        f"| planted | measure | what it does | {titles} | the statistics | float64 stages |",
        "|---" * (5 + len(others)) + "|",
    ]
    for row in rows:
        proof, margin = proofs[row["mistake"]], row["margin"]
        cells = []
        for one in (row["effect"], *row["pairs"]):
            # The planted column first, so that every difference is its own.
            first = one["a"] in ("planted", chosen.backend) or one["difference"] is None
            cells.append(shown_verdict(one if first else one | {"difference": -one["difference"]}, margin))
        stage = f"{proof['stage']}, {proof['bars']:.2g} bars" if proof["stage"] else "nothing"
        cells += [row["statistics"], stage]
        lines.append(f"| {MISTAKES[row['mistake']][0]} | {row['measure']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=list(SPECS), default="vae")
    parser.add_argument("--backend", choices=backends.BACKENDS, default="jax")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--scale", type=float, default=1.0, help="as `tetrapla results` was given")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--jobs", type=int, default=environment.cores())
    parser.add_argument("--honest", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/planted"))
    parser.add_argument("--page", type=Path)
    chosen = parser.parse_args()
    if chosen.page:
        check_place(chosen.page, BEGIN, END)
    data = datasets.load(chosen.data, chosen.data_dir, get(chosen.model).images.picture)
    steps = results.steps_of(chosen.model, data, chosen.scale)
    true, rows, proofs = honest(chosen, steps, data), [], {}
    for field in MISTAKES:
        rows += judged(field, chosen, true, train(field, chosen, steps, data, chosen.out))
        proofs[field] = json.loads((chosen.out / field / "proof.json").read_text())
    text = table(rows, proofs, chosen)
    write_json(chosen.out / "planted.json", {"rows": rows, "proofs": proofs})
    write_atomically(chosen.out / "planted.md", text.encode())
    if chosen.page:
        put_between(chosen.page, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    try:
        work(*sys.argv[2:]) if sys.argv[1:2] == ["work"] else main()
    except TetraplaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
