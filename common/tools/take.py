"""The `take` command: one model in one framework as a single file that needs that framework and NumPy alone.

What the model is are the lines of our model file: networks, losses, updates, coding and sampling. What stands around them is
what the framework's users write: its optimisers, a training loop, saving; `backends/*/take.py` has it. Branches that the
specification decides are decided, and numbers stand where they are used.

The file shows two hooks, `initialize` (the weights) and `draw_noise` (the random numbers of a step), by which it can be held
to the specification: with our weights, batches and noise its losses are the oracle's.
"""

import ast
import importlib
import importlib.util
import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import backends
from common.checkpoint import write_atomically
from common.errors import UsageError
from common.specs import SPECS
from common.specs.draws import FanInNormal, FanInUniform, FixedNormal, GlorotUniform, Noise
from common.specs.inputs import Images
from common.specs.records import Spec
from common.tools import sections

CHANNELS = {1: "", 3: ", 3"}


def take(spec: Spec, backend: str) -> str:
    """The source of the file. Raises UsageError if the formatter `ruff` is not installed."""
    around = importlib.import_module(f"backends.{backend}.take")
    parts = _parts(spec, backend, around)
    blocks = [
        _docstring(spec, backend) + around.IMPORTS + IMPORTS + _settings(spec) + around.SETTINGS,
        _banner("data") + _data(spec),
        _banner("networks") + _join(parts["terms"] + parts["networks"]),
        _banner("forward, losses") + _join(parts["forward, losses"]),
        _banner("train step") + _join([*parts["updates"], parts["create"], *parts["train step"]]),
        _banner("coding, sampling") + _join(parts["coding, sampling"]),
        _banner("weights, noise") + around.initialize(spec) + _noise(spec, around),
        _banner("training") + _training(spec, around) + _main(spec),
    ]
    return _formatted("\n\n".join(blocks))


def take_file(spec: Spec, backend: str, path: Path, *, notebook: bool) -> None:
    """Write it, as a file of Python or as a `notebook`. Raises UsageError as `take` does, for a variant, and for a notebook of a
    model whose data cannot be downloaded."""
    if spec.name not in SPECS:
        raise UsageError(f"{spec.name} is a variant; choose one of: {', '.join(SPECS)}")
    text = take(spec, backend)
    if notebook:
        from common.tools.take_notebook import notebook_of

        text = notebook_of(spec, backend, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())


# ------------------------------------------------------------------------------- of the model file


def _parts(spec, backend, around):
    """{section: [source, ...]} of what the file needs of ours, in our order; "create" is what becomes of `build`."""
    found = _definitions(backend, spec.module, around)
    edited = {name: (section, _edit(text, spec, around)) for name, (section, text) in found.items()}
    edited |= {name: (section, text) for section, own in around.own(spec).items() for name, text in own.items()}
    texts = {name: text for name, (_, text) in edited.items()}
    build = edited.pop("build")[1]
    made = around.step(spec, build, texts)
    roots = ["train_step"] + [job for job in ("encode", "reconstruct", "sample") if getattr(spec, job)]
    needed, left = set(), [made, *roots]
    while left:
        text = left.pop()
        text = edited[text][1] if text in edited else text
        for name in {one.id for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Name)}:
            if name in edited and name not in needed:
                needed.add(name)
                left.append(name)
    needed |= set(roots)
    parts = {name: [] for name in ("terms", "networks", "forward, losses", "updates", "train step", "coding, sampling")}
    for name, (section, text) in edited.items():
        if name in needed:
            parts[section].append(text)
    return parts | {"create": made}


def _definitions(backend, stem, around):
    """{name: (section, source)} of a model file, after what it takes from another of ours; constants stand with the terms."""
    source, found, own = _source(backend, stem), {}, {}
    lines, section = sections.lines_of(source), "terms"
    banners = [(k, match[1]) for k, line in enumerate(lines, 1) if (match := sections.BANNER.match(line))]
    for node in ast.parse(source).body:
        section = next((title for k, title in reversed(banners) if k < node.lineno), "terms")
        section = "coding, sampling" if "sampling" in section else section
        if isinstance(node, ast.ImportFrom) and node.module.startswith(f"backends.{backend}."):
            other = node.module.rpartition(".")[2]
            there = _definitions(backend, other, around) if stem not in around.ENGINE else {}
            if other in around.ENGINE:
                there = {name: ("terms", text) for name, (_, text) in there.items() if name in around.TERMS}
            found |= there
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign):
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            text = "\n".join(lines[first - 1 : node.end_lineno])
            kept = "terms" if isinstance(node, ast.Assign) else section
            own |= dict.fromkeys(sections.defined(node), (kept, text))
    return {name: value for name, value in found.items() if name not in own} | own


def _source(backend, stem):
    return (Path(backends.__file__).parent / backend / f"{stem}.py").read_text(encoding="utf-8")


def _edit(text, spec, around):
    """A definition of ours as the file has it: what the specification decides is decided, and filled in."""
    for pattern, replacement in (*REWRITTEN, *around.REWRITTEN):
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    text = _decided(text, known(spec))
    text = re.sub(r"\n +values_s = \{\}(.*) \| values_s", r"\1", text, flags=re.DOTALL)
    return _filled(text, spec)


REWRITTEN = (
    (r"\n +self\.reduction = reduction.*$", ""),
    (r", (spec\.)?reduction\b(?!=)", ""),
    (r", fixed_deviation\b", ""),
    (r', spec\.options\["fixed_deviation"\]', ""),
    (r"\n +self\.(category_weight|codes_weight|generator_weight|classes|categories|gamma) = (options|gamma).*$", ""),
    (r", (options|gamma)(, dtype)?\):", r"\2):"),
    (r'^ +spec\.options(\["gamma"\])?,\n', ""),
    (r"model\.(category_weight|codes_weight|generator_weight|classes|categories|gamma)\b", r'spec.options["\1"]'),
    (r"^ +# (Two Adams|An optimiser an update).*\n( +names = .*\n)?", ""),
    (r" +# not in `aae_clusters`", ""),
)


def known(spec):
    """{condition in a model file: what it is of this specification}."""
    options = spec.options
    known = {f'"{one}" in inputs': one in [i.name for i in spec.inputs] for one in ("images", "labels")}
    known |= {
        '"labelled" in state.spec.rows': "labelled" in spec.rows,
        'model.reduction == "sum"': spec.reduction == "sum",
    }
    if "codes" in options:
        known |= {
            '"category" in recognized': options["categories"] > 0,
            '"mean" in recognized': options["codes"] > 0,
            '"logstd" in recognized': not options.get("fixed_deviation"),
            "fixed_deviation": bool(options.get("fixed_deviation")),
            "self.logstd is None": bool(options.get("fixed_deviation")),
            "categories": options["categories"] > 0,
            "codes": options["codes"] > 0,
            "self.category is None": options["categories"] == 0,
            "self.mean is None": options["codes"] == 0,
        }
    return known


def _decided(text, known):
    """`text` without the branches that are not taken where a condition is `known`; comments stay."""
    while True:
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.If | ast.IfExp) or ast.unparse(node.test).replace("'", '"') not in known:
                continue
            taken = known[ast.unparse(node.test).replace("'", '"')]
            if isinstance(node, ast.IfExp):
                text = _put(text, node, ast.get_source_segment(text, node.body if taken else node.orelse))
            else:
                body = node.body if taken else node.orelse
                lines = text.split("\n")
                kept = lines[body[0].lineno - 1 : body[-1].end_lineno] if body else []
                kept = [line[4:] for line in kept] if taken else kept
                text = "\n".join(lines[: node.lineno - 1] + kept + lines[node.end_lineno :])
            break
        else:
            return text


def _put(text, node, replacement):
    lines = text.encode().split(b"\n")
    head = lines[: node.lineno - 1] + [lines[node.lineno - 1][: node.col_offset]]
    tail = [lines[node.end_lineno - 1][node.end_col_offset :]] + lines[node.end_lineno :]
    return (b"\n".join(head) + replacement.encode() + b"\n".join(tail)).decode()


def _filled(text, spec):
    """Numbers in place of the specification's names for them."""
    text = re.sub(r'(?:spec\.)?options\["(\w+)"\]', lambda found: repr(spec.options[found[1]]), text)
    text = text.replace("**spec.options", ", ".join(f"{name}={value!r}" for name, value in spec.options.items()))
    text = text.replace("spec.images.shape[0]", repr(spec.images.shape[0])).replace(
        "spec.images.shape", repr(spec.images.shape)
    )
    return re.sub(r"spec\.slope\b", lambda found: repr(spec.slope), text)


def body_of(build: str) -> str:
    """The lines of `build` that make the model: without its head, the state that it returns, and who starts it."""
    node = ast.parse(build).body[0]
    statements = node.body[0].body if isinstance(node.body[0], ast.With) else node.body
    lines, kept = build.split("\n"), []
    last = next(k for k, one in enumerate(statements) if isinstance(one, ast.Return))
    for k, one in enumerate(statements[:last]):
        first = statements[k - 1].end_lineno if k else one.lineno - 1  # with the comments above it
        kept += lines[first : one.end_lineno]
    return textwrap.dedent("\n".join(kept))


# ------------------------------------------------------------------------------------ around it

IMPORTS = "import argparse\nimport gzip\nimport struct\nimport zlib\nfrom pathlib import Path\n\nimport numpy as np\n\n"


def _docstring(spec, backend):
    title = f"{spec.about.title}, in {backends.TITLES[backend]}."
    return f'''"""{title}

{spec.about.source}. Taken from Tetrapla's model `{spec.name}`, under the Apache License 2.0.

    python {file_name(spec, backend)} {"mnist" if _is_mnist(spec) else "images.npz"}

{_where(spec)}
"""

'''


def file_name(spec: Spec, backend: str) -> str:
    """vae_pytorch.py."""
    return f"{spec.name}_{backend}.py"


def _is_mnist(spec):
    return spec.images.picture == (1, 28, 28)


def _where(spec):
    if _is_mnist(spec):
        return (
            "`mnist` is a folder with MNIST's files train-images-idx3-ubyte and train-labels-idx1-ubyte, or others of their format, as\n"
            "they are or compressed (.gz)."
        )
    channels, *sides = spec.images.picture
    size = " × ".join(map(str, sides)) + (" × 3" if channels == 3 else "")
    return (
        f"`images.npz` holds `images`, uint8 (N, {', '.join(map(str, sides))}{CHANNELS[channels]}): pictures of {size}."
    )


def _settings(spec):
    training = spec.training
    steps = training.steps or training.epochs * (60_000 // training.batch_size)
    return f"BATCH, STEPS, SEED = {training.batch_size}, {steps:_}, 0\n"


def _banner(name):
    return "# " + "-" * (98 - len(name)) + f" {name}\n\n\n"


def _join(texts):
    ones = [text for k, text in enumerate(texts) if text not in texts[:k]]
    constants = [text for text in ones if isinstance(ast.parse(text).body[-1], ast.Assign)]
    return (
        "\n".join(constants) + "\n\n\n" * bool(constants) + "\n\n\n".join(o for o in ones if o not in constants) + "\n"
    )


def _data(spec):
    labels = any(not isinstance(one, Images) for one in spec.inputs)
    channels, *sides = spec.images.picture
    low, high = spec.images.pixels
    shape = (*sides, 3) if channels == 3 else tuple(sides)
    text = LOAD_IDX if _is_mnist(spec) else LOAD_NPZ
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")[: 1 + labels]
    text = text.format(
        names=", ".join(f'"{name}"' for name in names) + "," * (len(names) == 1),
        what="images (N, 28, 28) and labels (N,)" if labels else "images (N, 28, 28)",
        shape=shape,
        sizes=", ".join(map(str, shape)),
    )
    return text + ORDERS + _batches(spec, labels) + _pictures(spec, low, high)


def _batches(spec, labels):
    taken = "images, labels" if labels else "images"
    lines = []
    for one in spec.inputs:
        rows = "chosen" if one.rows == "labelled" else "rows"
        if isinstance(one, Images):
            low, high = one.pixels
            scaled = f"images[{rows}] / 255" + (
                "" if (low, high) == (0, 1) else f" * {high - low:g} + {low:g}".replace("+ -", "- ")
            )
            if one.picture[0] == 3:
                scaled = f"np.moveaxis({scaled}, -1, 1)"
            elif one.shape != one.picture[1:]:
                scaled = f"({scaled}).reshape({', '.join(map(str, ('BATCH', *one.shape)))})"
            lines.append(f'"{one.name}": {scaled}')
        else:
            lines.append(f'"{one.name}": np.eye({one.classes})[labels[{rows}]]')
    made = "{" + ", ".join(lines) + "}"
    if "labelled" in spec.rows:
        each = spec.training.labelled // 10
        return f'''def batches(images, labels):
    """What one step after another is given, {{name: (B, ...)}}; of the labels only {spec.training.labelled:,}, as many of each class."""
    known = np.concatenate([np.flatnonzero(labels == one)[:{each}] for one in range(10)])
    for rows, chosen in zip(orders(len(images), SEED), orders(len(known), SEED + 1)):
        chosen = known[chosen]
        yield {made}


'''
    return f'''def batches({taken}):
    """What one step after another is given, {{name: (B, ...)}}."""
    for rows in orders(len(images), SEED):
        yield {made}


'''


LOAD_IDX = '''def load(folder):
    """The training {what} of MNIST, uint8."""
    found = []
    for name in ({names}):
        path = next((path for path in (Path(folder, name), Path(folder, name + ".gz")) if path.exists()), None)
        if path is None:
            raise SystemExit(f"{{folder}}: expected MNIST's file {{name}}, as it is or with .gz")
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        shape = struct.unpack(f">{{raw[3]}}I", raw[4 : 4 + 4 * raw[3]])
        found.append(np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape))
    return found


'''
LOAD_NPZ = '''def load(path):
    """The pictures of a file of NumPy's, uint8 (N, {sizes})."""
    images = np.load(path)["images"]
    if images.dtype != np.uint8 or images.shape[1:] != {shape}:
        raise SystemExit(f"{{path}}: expected images uint8 (N, {sizes}), found {{images.dtype}} {{images.shape}}")
    return [images]


'''
ORDERS = '''def orders(count, seed):
    """Rows of one batch after another, without end; every epoch sees all once, in an order of its own."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(count)
        for first in range(0, count - BATCH + 1, BATCH):
            yield order[first : first + BATCH]


'''


def _pictures(spec, low, high):
    channels, *sides = spec.images.picture
    scaled = "pixels * 255" if (low, high) == (0, 1) else "(pixels + 1) / 2 * 255"
    height, width = sides
    colour = channels == 3
    axes = "(0, 3, 1, 4, 2)" if colour else "(0, 2, 1, 3)"
    shape = f"-1, 8, {'3, ' * colour}{height}, {width}"
    return f'''def save_pictures(path, pixels):
    """pixels (N, ...) in [{low:g}, {high:g}], N a multiple of 8, as one PNG file, eight pictures across."""
    pictures = np.rint(np.clip({scaled}, 0, 255)).astype(np.uint8).reshape({shape})
    {"rows" if not colour else "rows"} = pictures.transpose{axes if not colour else "(0, 3, 1, 4, 2)"}.reshape(-1, 8 * {width}{" * 3" * colour})
    raw = b"".join(b"\\0" + row.tobytes() for row in rows)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 8 * {width}, len(rows), 8, {2 if colour else 0}, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b""))
    Path(path).write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + b"".join(parts))
'''


def _noise(spec, around):
    if spec.noise:
        return f'''{around.DECORATED}def draw_noise(step):
    """The random numbers of a step, {{name: (B, ...)}}; replace it to replay others."""
    {around.SEEDED}return {draws(spec.noise, around, "BATCH")}
'''
    return '''def draw_noise(step):
    """The random numbers of a step: this model has none."""
    return {}
'''


def draws(declared: tuple[Noise, ...], around: ModuleType, batch: str) -> str:
    """An expression for {name: array of `batch` rows} of the declared draws."""
    kinds = {noise.name: (noise.shape, noise.distribution) for noise in declared}
    return together(kinds, lambda name, kind: around.draw(kind[1], batch, kind[0], name))


MASK = re.compile(r"(\w+_mask)(\d)$")


def together(kinds: dict, value: Callable) -> str:
    """An expression for {name: what `value(expression for the name, kind)` says}; masks of one kind in one comprehension."""
    rows, masks = [], {}
    for name, kind in kinds.items():
        if found := MASK.match(name):
            masks.setdefault(found[1], []).append((found[2], kind))
        else:
            rows.append(f'"{name}": {value(repr(name), kind)}')
    groups = {}  # {(numbers, kind): bases}
    for base, found in masks.items():
        for kind in dict.fromkeys(kind for _, kind in found):
            numbers = tuple(number for number, own in found if own == kind)
            groups.setdefault((numbers, kind), []).append(base)
    for (numbers, kind), bases in groups.items():
        if len(numbers) == 1:
            names = tuple(base + numbers[0] for base in bases)
            rows.append(f"**{{name: {value('name', kind)} for name in {names!r}}}")
        else:
            made = value('f"{which}{k}"', kind)
            rows.append(f'**{{f"{{which}}{{k}}": {made} for which in {tuple(bases)!r} for k in range({len(numbers)})}}')
    return "{" + ", ".join(rows) + "}"


def rule_of(spec: Spec) -> str:
    """In words: what the weights are drawn from."""
    match spec.initial:
        case FanInUniform():
            return "U(-1/√n, 1/√n) with n the inputs of a unit, biases too"
        case FanInNormal(gain):
            return f"N(0, {gain:g}/n) with n the inputs of a unit, biases 0"
        case GlorotUniform():
            return "U(-b, b) with b = √(6 / (inputs + outputs)), biases 0"
        case FixedNormal(std):
            return f"N(0, {std:g}²), biases 0"


def _training(spec, around):
    labels = any(one.source == "labels" for one in spec.inputs)
    shown = around.SAMPLES.format(noise=draws(spec.sampling_noise, around, "count")) if spec.sample else around.COPIES
    return around.TRAINING.format(taken="images, labels" if labels else "images") + shown


def _main(spec):
    taken = "data" if _is_mnist(spec) else "images"
    help_ = "folder of MNIST's files" if _is_mnist(spec) else "file of NumPy's with images"
    return f'''


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\\n")[0])
    parser.add_argument("{taken}", help="{help_}")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training (%(default)s)")
    given = parser.parse_args()
    data = load(given.{taken})
    model, _ = train(*data, steps=given.steps)
    save(model, "{spec.name}")
    save_pictures("{spec.name}.png", {"pictures(model)" if spec.sample else "pictures(model, *data)"})


if __name__ == "__main__":
    main()
'''


# --------------------------------------------------------------------------------------- formatter


def _formatted(text):
    """By ruff, which also sorts the imports and drops those that nothing uses. Raises UsageError if it is not there."""
    program = ruff()
    for words in (["check", "--select", "I,F401", "--fix", "--quiet"], ["format", "--quiet"]):
        command = [program, *words, "--isolated", "--line-length", "120", "--target-version", "py311", "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


def ruff() -> str:
    """Its program: on the path, or in the environment that its package is found in."""
    package = importlib.util.find_spec("ruff")
    places = [Path(package.origin).parents[4] / folder / "ruff" for folder in ("bin", "Scripts")] if package else []
    found = shutil.which("ruff") or next((str(place) for place in places if place.exists()), None)
    if found is None:
        raise UsageError("take needs the formatter ruff; install it with: pip install 'tetrapla[take]'")
    return found
