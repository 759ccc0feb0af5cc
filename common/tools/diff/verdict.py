"""What the judge found: stages, layers and causes, in plain values."""

from dataclasses import asdict, dataclass, field, replace

EQUAL, DIFFERENT, NOT_JUDGED = "equal", "different", "not judged"
EXIT = {EQUAL: 0, DIFFERENT: 1, NOT_JUDGED: 2}


@dataclass(frozen=True)
class Cause:
    """Why two layers, losses or updates differ.

    `settings`: {convention: (the reference's, the port's)}, those that make the difference. `proven`: NumPy under each side's
    conventions gives that side's numbers; `left` is what NumPy with the port's conventions but for these deviates from the reference. A
    cause that is not proven is "unknown": `settings` is empty then, and nothing is claimed.
    """

    stage: str
    where: str
    words: str
    settings: dict[str, tuple] = field(default_factory=dict)
    proven: bool = False
    guide: str = ""
    advice: str = ""
    left: float | None = None


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
            and not any(s.verdict == NOT_JUDGED for s in self.stages if s.name in ("matching", "forward"))
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
        """In plain JSON values."""
        return asdict(replace(self, repro=None)) | {"outcome": self.outcome, "exit_code": EXIT[self.outcome]}
