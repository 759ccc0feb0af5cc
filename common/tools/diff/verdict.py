"""What the judge found: stages, layers and causes, in plain values."""

import math
from dataclasses import asdict, dataclass, field, replace

EQUAL, DIFFERENT, NOT_JUDGED = "equal", "different", "not judged"
EXIT = {EQUAL: 0, DIFFERENT: 1, NOT_JUDGED: 2}


def told(value: object) -> str:
    """A setting's value: numbers to six places, lists without the noise of their types."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(told, value))}]"
    return "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def pair(values: tuple) -> tuple[str, str]:
    """Two values of one setting, (the reference's, the port's), in as many places as tell them apart."""
    a, b = values if len(values) == 2 else (values[0], None)
    return (told(a), told(b)) if told(a) != told(b) else (str(a), str(b))


def differing(settings: dict[str, tuple]) -> str:
    """ "keep 0.9 | 0.1, unbiased False | True"."""
    return ", ".join(f"{name} {' | '.join(pair(values))}" for name, values in settings.items())


@dataclass(frozen=True)
class Cause:
    """Why two layers, losses or updates differ.

    `settings`: {convention: (the reference's, the port's)}, those that make the difference. `proven`: NumPy under each side's
    conventions gives that side's numbers, up to `explained`, (of the reference, of the port), where that was kept; `left` is what
    NumPy with the port's conventions but for these deviates from the reference, None where that was not computed. A cause that is not
    proven is "unknown": `settings` is empty then, and nothing is claimed.
    """

    stage: str
    where: str
    words: str
    settings: dict[str, tuple] = field(default_factory=dict)
    proven: bool = False
    guide: str = ""
    advice: str = ""
    left: float | None = None
    explained: tuple[float, float] | None = None


@dataclass(frozen=True)
class Start:
    """A tensor whose initial values are of another distribution: (standard deviation, least, largest) on both sides."""

    key: str
    other: str
    reference: tuple[float, float, float]
    port: tuple[float, float, float]

    @property
    def words(self) -> str:
        sides = self.reference, self.port
        alike = abs(sides[0][0] - sides[1][0]) <= 0.05 * sides[0][0]  # what differs then is the shape, or the mean
        parts = (f"{s:.2g}" + f" ({a:.2g} to {b:.2g})" * alike for s, a, b in sides)
        return f"{self.key} has a standard deviation of {next(parts)} in the reference, {next(parts)} in the port"


@dataclass
class Row:
    """One layer of the reference, with the port's: deviations of its inputs and outputs in the models, and of its output alone
    on the reference's inputs; None where it was not called or could not be asked. `differ`: declared settings that differ."""

    reference: str
    port: str | None
    kind: str
    title: str
    port_title: str = ""
    inputs: float | None = None
    outputs: float | None = None
    alone: float | None = None
    bar: float = 0.0
    differ: dict[str, tuple] = field(default_factory=dict)
    note: str = ""

    @property
    def faulty(self) -> bool:
        """Whether the two, on the same inputs, give different results."""
        return self.alone is not None and not self.alone <= self.bar


@dataclass
class Stage:
    """`deviation` is the largest, found at `where`; `bar` what rounding may make of it."""

    name: str
    verdict: str
    deviation: float | None = None
    bar: float | None = None
    where: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass
class Verdict:
    """Of one `tetrapla diff`."""

    file: str
    dtype: str
    frameworks: tuple[str, str]
    versions: tuple[dict, dict]
    stages: list[Stage] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)  # what was not matched, or not compared, a line each
    initial: list[Start] = field(
        default_factory=list
    )  # a note, no difference: the function that is computed is the same
    repro: tuple[str, dict] | None = None  # (Python, {name: array}) that show the difference without us
    seconds: float = 0.0

    @property
    def outcome(self) -> str:
        verdicts = [stage.verdict for stage in self.stages]
        if DIFFERENT in verdicts:
            return DIFFERENT
        return (
            EQUAL
            if EQUAL in verdicts
            and not any(s.verdict == NOT_JUDGED for s in self.stages if s.name.startswith(("matching", "forward")))
            else NOT_JUDGED
        )

    @property
    def parted(self) -> Stage | None:
        """The first stage that differs."""
        return next((stage for stage in self.stages if stage.verdict == DIFFERENT), None)

    @property
    def alike(self) -> list[tuple[Cause, list[str]]]:
        """Causes that say the same of several layers once: (the first, where the others are)."""
        found: dict[tuple, list[Cause]] = {}
        for cause in self.causes:
            found.setdefault((cause.stage, cause.words, cause.proven), []).append(cause)
        return [(first, [one.where for one in rest]) for first, *rest in found.values()]

    def plain(self) -> dict:
        """In plain JSON values; of what is infinite the text "Infinity", as JSON has no such number."""
        about = asdict(replace(self, repro=None)) | {"outcome": self.outcome, "exit_code": EXIT[self.outcome]}
        for plain, one in zip(about["initial"], self.initial, strict=True):
            plain["words"] = one.words
        return _plain(about)


def _plain(value):
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return (
            value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        )
    return str(value)
