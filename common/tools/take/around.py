"""What stands around a model in a file of its own and is the same in every framework: data, pictures; and how draws and initial
values are said."""

import re
from collections.abc import Callable
from types import ModuleType

from common.specs.draws import (
    Bernoulli,
    FanInNormal,
    FanInUniform,
    FixedNormal,
    GlorotUniform,
    Noise,
    Normal,
    OneHot,
    Uniform,
)
from common.specs.inputs import Images
from common.specs.records import Spec

Distribution = Normal | Uniform | Bernoulli | OneHot


def is_mnist(spec: Spec) -> bool:
    """Whether its pictures are of MNIST's size."""
    return spec.images.picture == (1, 28, 28)


def sources(spec: Spec) -> list[str]:
    """What the file loads: its `batches` and `train` are given "images", or "images" and "labels"."""
    return [name for name in ("images", "labels") if name in {one.source for one in spec.inputs}]


def sizes(*numbers: str | int) -> str:
    """An expression for a tuple: (BATCH,) or (BATCH, 10)."""
    return f"({', '.join(map(str, numbers))}{',' * (len(numbers) == 1)})"


def data(spec: Spec) -> str:
    """Loading, batches, and a PNG file of pictures, by NumPy alone."""
    labels = "labels" in sources(spec)
    channels, *sides = spec.images.picture
    low, high = spec.images.pixels
    shape = (*sides, 3) if channels == 3 else tuple(sides)
    text = LOAD_IDX if is_mnist(spec) else LOAD_NPZ
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")[: 1 + labels]
    text = text.format(
        names=", ".join(f'"{name}"' for name in names) + "," * (len(names) == 1),
        what="images (N, 28, 28) and labels (N,)" if labels else "images (N, 28, 28)",
        shape=shape,
        sizes=", ".join(map(str, shape)),
    )
    return text + ORDERS + _batches(spec) + _pictures(spec, low, high)


def _batches(spec):
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
    return f'''def batches({", ".join(sources(spec))}):
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
    rows = pictures.transpose{axes}.reshape(-1, 8 * {width}{" * 3" * colour})
    raw = b"".join(b"\\0" + row.tobytes() for row in rows)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 8 * {width}, len(rows), 8, {2 if colour else 0}, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b""))
    Path(path).write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + b"".join(parts))
'''


def noise(spec: Spec, around: ModuleType) -> str:
    """The hook of the random numbers."""
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


def drawn(spec: Spec, said: dict[type, str]) -> str:
    """What is `said` of the specification's rule for weights, with its number where GAIN or STD stands."""
    rule = spec.initial
    return (
        said[type(rule)].replace("GAIN", f"{getattr(rule, 'gain', 0):g}").replace("STD", f"{getattr(rule, 'std', 0):g}")
    )


def training(spec: Spec, around: ModuleType) -> str:
    """The loop, saving, and what pictures are made of."""
    shown = around.SAMPLES.format(noise=draws(spec.sampling_noise, around, "count")) if spec.sample else around.COPIES
    return around.TRAINING.format(taken=", ".join(sources(spec))) + shown
