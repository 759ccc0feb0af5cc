"""Checks: what is claimed, by whom, and when it counts as reached; written down before anything is measured.

Each article's file has a tuple of them, CHECKS, next to its runs. What they look at is `evidence`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.tools.reproduction.evidence import Evidence

# Whose claim it is.
ARTICLE, PAPER, ELSEWHERE, OURS = "the article", "the paper", "published elsewhere", "ours"

# Verdicts. IN_PART: as the criterion says. SHORT: runs stopped before their full length, so that nothing is decided. BESIDE:
# the numbers stand next to each other, of other networks, other data or another length.
REACHED, IN_PART, MISSED, SHORT, BESIDE = "reached", "in part", "missed", "not at full length", "beside"
SIGNS = {
    REACHED: "✓ reached",
    IN_PART: "◐ in part",
    MISSED: "✗ missed",
    SHORT: "not at full length",
    BESIDE: "for comparison",
}


@dataclass(frozen=True)
class Check:
    """A claim and how it is judged.

    `claim` is its sentence in English, `original` the article's own where it is known. `criterion` says in words what `judge`
    does with the evidence; `chance`, how many runs there are and what luck may decide. `judge` returns what was found and the
    verdict.
    """

    what: str
    whose: str  # ARTICLE | PAPER | ELSEWHERE | OURS
    claim: str
    criterion: str
    chance: str
    models: tuple[str, ...]  # whose runs it needs
    judge: Callable[[Evidence], tuple[str, str]]
    original: str = ""
    runs: int = 1  # of each model at its full length, for a verdict; 0: any length will do


@dataclass(frozen=True)
class Judged:
    """A check and what came of it."""

    check: Check
    ours: str
    verdict: str  # one of SIGNS

    def described(self) -> dict:
        """In plain JSON values."""
        names = ("what", "whose", "claim", "original", "criterion", "chance")
        return {name: getattr(self.check, name) for name in names} | {"ours": self.ours, "verdict": self.verdict}


def graded(reached: bool, in_part: bool = False) -> str:
    """The verdict of a criterion that holds, or holds in part, or does not."""
    return REACHED if reached else IN_PART if in_part else MISSED


def judge(checks: Iterable[Check], evidence: Evidence) -> list[Judged]:
    """Every check whose models were run. Where too few of their runs are of full length, the verdict is SHORT."""
    found = []
    for check in checks:
        if all(evidence.of(model) for model in check.models):
            ours, verdict = check.judge(evidence)
            few = any(len(evidence.whole(model)) < check.runs for model in check.models)
            found.append(Judged(check, ours, SHORT if few and verdict != BESIDE else verdict))
    return found
