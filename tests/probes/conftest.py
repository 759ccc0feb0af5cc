"""What is written for one framework is collected where that backend is asked for; the others' files would import theirs."""

from backends import BACKENDS

LAYERS = ("pytorch", "tensorflow")  # of test_layers.py; the others' own files hold the same checks


def pytest_ignore_collect(collection_path, config):
    chosen = config.getoption("backend") or ()
    name = collection_path.stem.removeprefix("test_")
    if name in BACKENDS:
        return name not in chosen or None
    if name == "layers":
        return not set(chosen) & set(LAYERS) or None
    return None
