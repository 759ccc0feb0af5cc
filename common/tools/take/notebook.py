"""A taken file (common.tools.take) as a notebook: its sections as cells, MNIST downloaded, training, its losses and pictures."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import backends
from common.data import mnist
from common.errors import UsageError
from common.specs.records import Spec
from common.tools import sections
from common.tools.take.around import is_mnist, sources

STEPS = 2_000  # minutes on a processor
INSTALL = {"pytorch": "torch", "tensorflow": "tensorflow", "paddle": "paddlepaddle", "jax": "jax flax optax"}


def notebook_of(spec: Spec, backend: str, text: str) -> str:
    """The notebook's JSON, of the file `text`. Raises UsageError for a model that is not trained on MNIST."""
    if not is_mnist(spec):
        raise UsageError(f"{spec.name} takes pictures that a notebook cannot download; take it as a file")
    head, *parts = _parts(text)
    start, _, imports = head.removeprefix('"""').partition('"""\n')
    title, _, about = start.partition("\n\n")
    imports = imports.replace("import argparse\n", "")
    names = [name for name in mnist.FILES if name.startswith(tuple(f"train-{source}" for source in sources(spec)))]
    shown = "pictures(model)" if spec.sample else "pictures(model, *data)"
    cells = [
        new_markdown_cell(f"# {title}\n\n{about.partition(chr(10))[0]}\n\n{_how(backend)}"),
        new_code_cell(imports.strip()),
    ]
    for name, code in parts:
        code = code.partition("\n\n\ndef main():")[0]
        cells += [new_markdown_cell(f"## {name[0].upper()}{name[1:]}"), new_code_cell(code.strip())]
    cells += [
        new_markdown_cell("## MNIST"),
        new_code_cell(DOWNLOAD.format(mirror=mnist.MIRRORS[1], names=names)),
        new_markdown_cell(f"## {STEPS:,} steps\n\nThe whole training is `STEPS`."),
        new_code_cell(f"model, history = train(*data, steps={STEPS})"),
        new_code_cell(PLOT),
        new_code_cell(SHOW.format(name=spec.name, shown=shown)),
    ]
    for k, cell in enumerate(cells):
        cell["id"] = f"cell-{k}"  # nbformat draws them at random
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    made = new_notebook(cells=cells, metadata=kernel | {"language_info": {"name": "python"}})
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def _parts(text):
    """The head of a file; and (name, code) of each of its sections."""
    lines, found = sections.lines_of(text), [("", [])]
    for line in lines:
        if match := sections.BANNER.match(line):
            found.append((match[1], []))
        else:
            found[-1][1].append(line)
    return ["\n".join(found[0][1]), *((name, "\n".join(own)) for name, own in found[1:])]


def _how(backend):
    where = (
        "in [AI Studio](https://aistudio.baidu.com) (新建项目, upload)"
        if backend == "paddle"
        else "in [Colab](https://colab.research.google.com) (File, Upload notebook)"
    )
    return (
        f"Open it {where}, or in Jupyter. It needs {backends.TITLES[backend]}, NumPy and Matplotlib: "
        f"`%pip install {INSTALL[backend]} numpy matplotlib`."
    )


DOWNLOAD = """import urllib.request

folder = Path("mnist")
folder.mkdir(exist_ok=True)
for name in {names}:
    if not (folder / name).exists() and not (folder / f"{{name}}.gz").exists():
        urllib.request.urlretrieve(f"{mirror}{{name}}.gz", folder / f"{{name}}.gz")
data = load(folder)
[values.shape for values in data]"""

PLOT = """from matplotlib import pyplot as plt

fig, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for name in history[0]:
    axes.plot([row[name] for row in history], label=name, linewidth=0.8)
axes.set(xlabel="step", ylabel="a step's value")
axes.legend()
plt.show()"""

SHOW = """from IPython.display import Image

save_pictures("{name}.png", {shown})
Image("{name}.png", width=448)"""
