"""What the checks and the pictures of an article look at: its runs, the data, and what is measured of them, each once."""

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import numpy as np

from common.data import Dataset
from common.specs import get
from common.tools import training
from common.tools.evaluation.frechet import Features
from common.tools.evaluation.labels import linear_error, neighbours_error
from common.tools.evaluation.parzen import Parzen
from common.tools.reproduction import measures
from common.tools.reproduction.results import Result

T = TypeVar("T")


class Evidence:
    """`results` in the order of the article's runs."""

    def __init__(self, results: list[Result], data: Dataset):
        self.results, self.data, self._measured = results, data, {}

    def of(self, model: str) -> list[Result]:
        """The runs of `model`."""
        return [result for result in self.results if result.run.model == model]

    def one(self, model: str) -> Result:
        """The first of them."""
        return self.of(model)[0]

    def whole(self, model: str) -> list[Result]:
        """Those that are as long as the specification says, and no trials."""
        spec = get(model)
        length = training.steps_of(spec, self.data, training.batch_size(spec, self.data), None, None)
        return [r for r in self.of(model) if r.run.scale == 1 and (r.run.steps is None or r.run.steps >= length)]

    @cached_property
    def _features(self) -> Features:
        return measures.features(self.data)

    def frechet(self, result: Result, name: str = "samples") -> float:
        """Of the probe's pictures called `name` to the test images; measures.FRECHET_NOTE says what it is."""
        return self._once("frechet", result, name, lambda p: measures.distance(self._features, p, self.data))

    def parzen(self, result: Result) -> Parzen:
        """Log-likelihood of test images; measures.PARZEN_NOTE says what it is."""
        return self._once("parzen", result, "samples", lambda p: measures.likelihood(p, self.data))

    def sharpness(self, result: Result) -> float:
        """Of the samples, as a fraction of that of the test images."""
        return self._once("sharpness", result, "samples", lambda p: measures.relative_sharpness(p, self.data))

    def told(self, result: Result) -> tuple[float, float]:
        """How often a linear classifier and a vote of the nearest err on the test images, both fitted to the codes of the first
        training images: shares of 1."""

        def classify(codes: np.ndarray) -> tuple[float, float]:
            known = result.probe["known"]
            given = known, self.data.train_labels[: len(known)], codes, self.data.test_labels
            return linear_error(*given), neighbours_error(*given)

        return self._once("told", result, "codes", classify)

    def label_error(self, result: Result) -> float:
        """Share of the test images that the model's categories give another label than theirs (measures.label_error)."""
        return self._once(
            "label_error",
            result,
            "codes",
            lambda p: measures.label_error(result.spec, p, result.probe["known"], self.data),
        )

    def once(self, measure: str, result: Result, function: Callable[[Result], T]) -> T:
        """`function` of the run, measured once under this name."""
        key = measure, result.run.name, ""
        if key not in self._measured:
            self._measured[key] = function(result)
        return self._measured[key]

    def _once(self, measure, result, name, function):
        key = measure, result.run.name, name
        if key not in self._measured:
            self._measured[key] = function(result.probe[name])
        return self._measured[key]
