"""The `convert` command: a trained model in the form that users of one framework load without us.

The folder holds the weights in the framework's own format, `example.py` (the lines that load them and run the model) and,
but for Paddle, whose inference models carry their Program, `model.py`: the networks as they stand in our model file, and
`create()`, which is our `build` with the sizes filled in.
"""

import ast
import importlib
import inspect
import shutil
from pathlib import Path
from types import ModuleType

import backends
from common import checkpoint, specs
from common.errors import UsageError
from common.specs.draws import Bernoulli, Normal, OneHot, Uniform
from common.specs.records import Spec
from common.tools.training import read_run

COUNT = 16


def export(run: Path, backend: str, out: Path, *, overwrite: bool) -> Path:
    """Write the folder `out` and return it. Raises UsageError if `run` is no run, or `out` exists."""
    if out.exists() and not (overwrite and (out / "example.py").exists()):
        raise UsageError(f"{out}: the folder exists; choose another --out, or add --overwrite for one of our exports")
    description = read_run(run)
    spec, dtype = specs.get(description["model"]), description["options"]["dtype"]
    snapshot = checkpoint.load_checkpoint(run / "checkpoint.safetensors", spec)
    _, module = backends.load(backend, spec)
    column = backends.create(backend, spec, snapshot.parameters, dtype=dtype)
    column.restore(snapshot)
    exporter = importlib.import_module(f"backends.{backend}.export")
    job = "sample" if spec.sample else "reconstruct"
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        exporter.save(column, temporary)
        if exporter.DTYPE:
            text = standalone(module, spec, exporter.DTYPE.format(dtype=dtype), job)
            (temporary / "model.py").write_text(text, encoding="utf-8")
        networks = tuple(network.name for network in spec.networks)
        example = exporter.EXAMPLE.format(job=job, given=_inputs(spec, job, dtype), dtype=dtype, networks=networks)
        (temporary / "example.py").write_text(example, encoding="utf-8")
        (temporary / "README.md").write_text(_readme(spec, backend, snapshot.step, example), encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def standalone(module: ModuleType, spec: Spec, dtype: str, job: str) -> str:
    """The source of `module`, and of what it takes from its engine, without losses and training; and `create()`. `dtype` is an
    expression."""
    nodes = _definitions(module)
    build = nodes["build"][0]
    body = build.body[0].body if isinstance(build.body[0], ast.With) else build.body
    body = [line for line in body if not isinstance(line, ast.Return) and ast.unparse(line) != "options = spec.options"]
    lines = [ast.unparse(_Filled(spec, dtype).visit(line)) for line in body]
    kept, left = {}, {job} | {n.id for line in lines for n in ast.walk(ast.parse(line)) if isinstance(n, ast.Name)}
    while left:
        node, text = nodes.get(left.pop(), (None, None))
        if node and text not in kept:
            kept[text] = node
            left |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    order = list(dict.fromkeys(text for _, text in nodes.values()))
    imports = [text for text in order if text in kept and isinstance(kept[text], ast.Import | ast.ImportFrom)]
    code = [text for text in order if text in kept and text not in imports]
    title = f'"""{spec.about.title}: the networks of tetrapla\'s {module.__name__.replace(".", "/")}.py."""'
    create = "def create():\n    " + "\n    ".join(lines) + "\n    return model"
    return "\n\n\n".join([title + "\n\n" + "\n".join(imports), *code, create]) + "\n"


def _definitions(module):
    """{name: (node, text)} of what a file of ours defines and imports, and first of what it takes from another of ours."""
    source, found, named = inspect.getsource(module), {}, {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("backends."):
            others = _definitions(importlib.import_module(node.module))
            found |= others
            named |= {alias.name: others[alias.name] for alias in node.names if alias.name in others}
        else:
            found |= dict.fromkeys(_defines(node), (node, ast.get_source_segment(source, node)))
    return found | named  # where another file that it takes from has something else of that name


def _defines(node):
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            return (node.name,)
        case ast.Assign(targets=[ast.Tuple(elts=names)]):
            return tuple(name.id for name in names)
        case ast.Assign(targets=[ast.Name(id=name)]):
            return (name,)
        case ast.Import() | ast.ImportFrom():
            return tuple((alias.asname or alias.name).split(".")[0] for alias in node.names)
    return ()


class _Filled(ast.NodeTransformer):
    """`spec.options["hidden"]` and `options["hidden"]` -> 400, `spec.images.shape[0]` -> 784, `spec.reduction` -> "sum", `spec.slope`
    -> 0.1, `dtype` and `device` -> what they are here."""

    def __init__(self, spec, dtype):
        self.spec, self.dtype = spec, dtype

    def visit_Subscript(self, node):
        if ast.unparse(node.value) in ("spec.options", "options"):
            return ast.Constant(self.spec.options[node.slice.value])
        if ast.unparse(node.value) == "spec.images.shape":
            return ast.Constant(self.spec.images.shape[node.slice.value])
        return self.generic_visit(node)

    def visit_Attribute(self, node):
        if ast.unparse(node) in ("spec.reduction", "spec.slope", "spec.options"):
            return ast.parse(repr(getattr(self.spec, node.attr)), mode="eval").body
        if ast.unparse(node) == "spec.images.shape":
            return ast.parse(repr(self.spec.images.shape), mode="eval").body
        return self.generic_visit(node)

    def visit_Name(self, node):
        if node.id == "dtype":
            return ast.parse(self.dtype, mode="eval").body
        return ast.Constant("cpu") if node.id == "device" else node


def _inputs(spec, job, dtype):
    """A line that makes the NumPy arrays which the job takes, by name."""
    if job == "reconstruct":
        low, high = spec.images.pixels
        name, shape = spec.images.name, (COUNT, *spec.images.shape)
        return f'given = {{"{name}": random.uniform({low}, {high}, {shape}).astype("{dtype}")}}'
    draws = ", ".join(f'"{n.name}": {_draw(n.distribution, (COUNT, *n.shape))}' for n in spec.sampling_noise)
    return f'given = {{name: value.astype("{dtype}") for name, value in {{{draws}}}.items()}}'


def _draw(distribution, shape):
    match distribution:
        case Normal(mean, std):
            return f"random.normal({mean}, {std}, {shape})"
        case Uniform(low, high):
            return f"random.uniform({low}, {high}, {shape})"
        case OneHot():
            return f"np.eye({shape[-1]})[random.integers({shape[-1]}, size={shape[:-1]})]"
        case Bernoulli(keep):
            return f"(random.uniform(size={shape}) < {keep})"


def _readme(spec, backend, step, example):
    low, high = spec.images.pixels
    return (
        f"# {spec.about.title} ({spec.name}), for {backend}\n\n{spec.about.source}; trained for {step:,} steps. Images are pixels in "
        f"[{low:g}, {high:g}].\n\n```python\n{example}```\n"
    )
