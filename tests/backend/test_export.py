"""`convert`: what it writes is loaded and run in a process that cannot import us."""

import subprocess
import sys

import numpy as np
import pytest

import backends
from common import checkpoint, specs
from common.contract import Snapshot
from common.data import digits
from common.errors import UsageError
from common.tools import export
from common.tools.training import Options, _Run

# With sizes of its own; reconstructing; with running statistics; with labels; with one layer's class in two places.
MODELS = ("vae", "conv_autoencoder", "infogan", "aae_style", "aae_few_labels")

ALONE = """
import sys
sys.modules["common"] = sys.modules["backends"] = None  # importing either is an error
sys.path.insert(0, ".")
exec(compile(open("example.py").read(), "example.py", "exec"))
np.savez("found.npz", images=images)
"""


def saved_run(model, folder):
    """A run's folder, as if trained: random weights, statistics and moments."""
    spec, random = specs.get(model), np.random.default_rng(0)
    parameters = {name: random.normal(0, 0.1, shape) for name, shape in spec.parameter_shapes().items()}
    statistics = {name: random.uniform(0.5, 2, shape) for name, shape in spec.statistic_shapes().items()}
    snapshot = Snapshot(parameters, statistics, Snapshot.start(spec, parameters).moments, 5)
    folder.mkdir()
    _Run(spec, digits.load(), Options("pytorch", 5, 16), folder).start()
    checkpoint.save_checkpoint(folder / "checkpoint.safetensors", spec, snapshot)
    return spec, snapshot


@pytest.mark.parametrize("model", MODELS)
def test_the_export_runs_without_us(backend, model, tmp_path):
    spec, snapshot = saved_run(model, tmp_path / "run")
    out = export.export(tmp_path / "run", backend, tmp_path / "export", overwrite=False)
    result = subprocess.run([sys.executable, "-c", ALONE], cwd=out, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    line = next(line for line in (out / "example.py").read_text().splitlines() if line.startswith("given = {"))
    scope = {"np": np, "random": np.random.default_rng(0)}
    exec(line, scope)  # the same draws
    column = backends.create(backend, spec, snapshot.parameters)
    column.restore(snapshot)
    given = scope["given"]
    expected = column.reconstruct(given, {}) if "images" in given else column.sample(given)
    found = np.load(out / "found.npz")["images"]
    assert found.shape == expected.shape == (16, *spec.images.shape)
    assert found == pytest.approx(expected, abs=1e-5)
    assert expected.std() > 1e-3
    assert len((out / "example.py").read_text().splitlines()) < 30
    assert (out / "example.py").read_text() in (out / "README.md").read_text()


def test_an_existing_folder_is_refused(backend, tmp_path):
    saved_run("vae", tmp_path / "run")
    (tmp_path / "thesis").mkdir()
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="the folder exists"):
            export.export(tmp_path / "run", backend, tmp_path / "thesis", overwrite=overwrite)
    with pytest.raises(UsageError, match="expected the folder of a run"):
        export.export(tmp_path, backend, tmp_path / "export", overwrite=False)
