"""Of a model file: the lines that a file of its own has of it, with what the specification decides decided and filled in."""

import ast
import re
import symtable
import textwrap
from pathlib import Path
from types import ModuleType

import backends
from common.specs.records import Spec
from common.tools import sections


def parts(spec: Spec, backend: str, around: ModuleType) -> dict[str, list[str] | str]:
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
        for name in referred(text) & edited.keys() - needed:
            needed.add(name)
            left.append(name)
    needed |= set(roots)
    chosen = {
        name: [] for name in ("terms", "networks", "forward, losses", "updates", "train step", "coding, sampling")
    }
    for name, (section, text) in edited.items():
        if name in needed:
            chosen[section].append(text)
    return chosen | {"create": made}


def referred(text: str) -> set[str]:
    """The names of the module that `text` uses; a local variable of the same name is none."""
    tables, found = [symtable.symtable(text, "taken", "exec")], set()
    while tables:
        table = tables.pop()
        outside = table.get_type() == "module"
        found |= {one.get_name() for one in table.get_symbols() if one.is_referenced() and (outside or one.is_global())}
        tables += table.get_children()
    return found


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


def definition(backend: str, stem: str, name: str) -> str:
    """The source of one function or class of a file of ours."""
    source = _source(backend, stem)
    node = next(one for one in ast.parse(source).body if name in sections.defined(one))
    return ast.get_source_segment(source, node)


def _source(backend, stem):
    return (Path(backends.__file__).parent / backend / f"{stem}.py").read_text(encoding="utf-8")


def _edit(text, spec, around):
    """A definition of ours as the file has it: what the specification decides is decided, and filled in."""
    for pattern, replacement in (*REWRITTEN, *around.REWRITTEN):
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    text = _decided(text, known(spec))
    text = re.sub(r"\n +images = images$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\n +values_s = \{\}(.*) \| values_s", r"\1", text, flags=re.DOTALL)
    return _filled(text, spec)


REWRITTEN = (
    (r"\n +self\.reduction = reduction.*$", ""),
    (r", (spec\.)?reduction\b(?!=)", ""),
    (r", fixed_deviation\b", ""),
    (r', spec\.options\["fixed_deviation"\]', ""),
    (r"\n +self\.joint_batch = .*$", ""),
    (r"\n +self\.(category_weight|codes_weight|generator_weight|classes|categories|gamma) = (options|gamma).*$", ""),
    (r", (options|gamma)(, dtype)?\):", r"\2):"),
    (r'^ +spec\.options(\["gamma"\])?,\n', ""),
    (r"model\.(category_weight|codes_weight|generator_weight|classes|categories|gamma)\b", r'spec.options["\1"]'),
    (r"^ +# (Two Adams|An optimiser an update).*\n( +names = .*\n)?", ""),
    (r" +# not in `aae_clusters`", ""),
    (r" +# a fixed deviation is 1", ""),
    (r"See conv_autoencoder\.py; one", "One"),
    (r", see conv_autoencoder\.py", ""),
    (r": with dropout or, in `aae_few_labels_paper`, with noise on the images\.", ", with dropout."),
    (r", the paper none$", ""),
    (r", where the specification has the leaky one: another", ", here the leaky one: another"),
)


def known(spec: Spec) -> dict[str, bool]:
    """{condition in a model file: what it is of this specification}."""
    options = spec.options
    known = {f'"{one}" in inputs': one in [i.name for i in spec.inputs] for one in ("images", "labels")}
    known |= {
        '"labelled" in state.spec.rows': "labelled" in spec.rows,
        'model.reduction == "sum"': spec.reduction == "sum",
    }
    known['f"{which}_input" in noise'] = any(one.name.endswith("_input") for one in spec.noise)
    if "codes" in options:
        known |= {
            '"category" in recognized': options["categories"] > 0,
            '"mean" in recognized': options["codes"] > 0,
            '"logstd" in recognized': not options.get("fixed_deviation"),
            "fixed_deviation": bool(options.get("fixed_deviation")),
            "self.logstd is None": bool(options.get("fixed_deviation")),
            "model.joint_batch": bool(options.get("joint_batch")),
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
            test = ast.unparse(node.test).replace("'", '"') if isinstance(node, ast.If | ast.IfExp) else None
            if test not in known:
                continue
            taken = known[test]
            if isinstance(node, ast.IfExp):
                text = _put(text, node, ast.get_source_segment(text, node.body if taken else node.orelse))
            else:
                body = node.body if taken else node.orelse
                lines = text.split("\n")
                kept = lines[body[0].lineno - 1 : body[-1].end_lineno] if body else []
                kept = [line[4:] for line in kept]
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
