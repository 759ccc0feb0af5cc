"""What is measured: a model, its batch, and for `vae` its width; and the sweeps over batch and width."""

from dataclasses import dataclass

from common import specs
from common.specs.records import Spec
from common.specs.vae import vae

BATCHES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
WIDTHS = (400, 800, 1600, 3200, 6400)
SWEPT = "vae"  # the model whose width is swept


@dataclass(frozen=True)
class Case:
    """`hidden` units in each hidden layer of `vae`; None for any model as it is."""

    model: str
    batch: int
    hidden: int | None = None

    @classmethod
    def of(cls, row: dict) -> "Case":
        """That of a job or a row of results."""
        return cls(row["model"], row["batch"], row["hidden"])

    @property
    def name(self) -> str:
        """That of its folder where it is measured alone."""
        return f"{self.model}-{self.batch}" + (f"-{self.hidden}" if self.hidden else "")

    @property
    def spec(self) -> Spec:
        return vae(self.hidden) if self.hidden else specs.get(self.model)


def cases(models: list[str], batch: int | None, sweep: str | None) -> list[Case]:
    """One a model, with the model's own batch unless another is given; or those of a sweep over "batch" or "width"."""
    own = {model: batch or specs.get(model).training.batch_size for model in models}
    if sweep == "batch":
        return [Case(model, batch) for model in models for batch in BATCHES]
    if sweep == "width":
        return [Case(SWEPT, own[SWEPT], hidden) for hidden in WIDTHS]
    return [Case(model, batch) for model, batch in own.items()]
