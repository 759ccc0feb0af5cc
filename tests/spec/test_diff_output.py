"""What `diff` shows of a verdict: the terminal, verdict.json, the page; and the matrix of planted mistakes."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from common.environment import ROOT
from common.errors import UsageError
from common.tools.diff import page, report
from common.tools.diff.verdict import DIFFERENT, EQUAL, NOT_JUDGED, Cause, Row, Stage, Start, Verdict, pair, told
from tests.diff import publish
from tests.diff.mistakes import MISTAKES

NAMES = "<b>", "[red]", "[/]"  # of layers, as somebody may call them


def verdict(**changed) -> Verdict:
    """A convolution that is at fault, an activation that only comes after it, one that was not called, one that is equal."""
    rows = [
        Row("encoder.<b>", "[red]", "conv", "nn.Conv2d", "Conv2D", 0.0, 5.0, 5.0, 1e-12, {"padding": ([[1, 1]], "same")}),
        Row("encoder.[/]", "act", "activation", "nn.ReLU", "relu", 5.0, 5.5, 0.0, 1e-12),
        Row("head", None, "dense", "nn.Linear"),
        Row("stem", "stem", "dense", "nn.Linear", "Dense", 0.0, 3e-16, 2e-16, 1e-12, {"keep": (0.9, 0.09999999999999998)}),
    ]  # fmt: skip
    stages = [Stage("matching", EQUAL), Stage("forward, evaluation", DIFFERENT, float("inf"), 1e-12, "encoder.<b>"), Stage("loss", NOT_JUDGED, notes=["no loss in port"])]  # fmt: skip
    cause = Cause("forward, evaluation", "encoder.<b>", "how much is padded: 1 <i>here</i>", {"padding": ([[1, 1]], "same")}, True, '"same" is not a padding of 1', "in the port, [red]: padding 1", 1.25e-15, (2.5e-16, 7.5e-16))  # fmt: skip
    about = {
        "file": "/somewhere/<mine>.py", "dtype": "float64", "frameworks": ("PyTorch", "TensorFlow"),
        "versions": ({"torch": "1"}, {"tensorflow": "2"}), "stages": stages, "rows": rows, "causes": [cause], "seconds": 3.0,
        "uncovered": ["port: [red] has no <i>partner</i>"], "initial": [Start("stem/weight", "w", (0.2, -1.0, 1.0), (0.05, -0.3, 0.3))],
        "repro": ("print('<difference>')\n", {"x0": np.arange(3.0)}),
    }  # fmt: skip
    return Verdict(**about | changed)


def terminal(found: Verdict, width: int) -> str:
    console = Console(width=width, highlight=False, markup=False, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(report.shown(found))
    console.file.close()
    return console.export_text()


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.text += " "
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal(width):
    lines = terminal(verdict(), width).splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for words in (
        "✗ <b> nn.Conv2d → [red] Conv2D 5.0e+00, alone 5.0e+00", "~ [/] nn.ReLU", "– head", "not called", "✓ stem",
        "keep 0.9 | 0.1", "cause, proven", "in the port, [red]: padding 1", "docs/differences.md#same-is-not-a-padding-of-1",
        "stem/weight has a standard deviation of 0.2 in the reference, 0.05 in the port", "loss: no loss in port",
        "port: [red] has no <i>partner</i>", "1.2e-15 is left",
    ):  # fmt: skip
        assert words in text.replace("│ ", ""), words
    assert lines[-1].startswith("✗ different: diverging at layer encoder.<b>, stage “forward, evaluation”")


def test_the_page_holds_all_of_it_and_escapes_names():
    text = page.html(verdict())
    found = Reader(text)
    words = " ".join(found.text.split())
    for one in (
        "✗ different: diverging at layer encoder.<b>, stage “forward, evaluation”", "<mine>.py", "Cause, proven",
        "How much is padded: 1 <i>here</i>", "✗ <b>", "~ [/]", "port: [red] has no <i>partner</i>", "print('<difference>')",
        "NumPy as the reference is set, from the reference 2.5e-16", "NumPy as the port is set, from the port 7.5e-16",
        "with this changed, from the reference 1.2e-15", "the port's layer from the reference's, on the same input 5.0e+00",
        "stem/weight", "loss: no loss in port", "docs/differences.md#same-is-not-a-padding-of-1",
    ):  # fmt: skip
        assert one in words.replace(" .", "."), one
    assert not re.search("<i>|<difference>|<mine>|<b><b>|<code>encoder.<b>", text)
    assert found.tags.count("rect") == 3  # layers that were called
    assert found.tags.count("h1") == 1


def test_the_page_needs_nothing_else():
    text = page.html(verdict())
    assert not re.search(r"https?://|url\(|@import|<script|<link", text)
    assert "prefers-color-scheme: dark" in text


def test_the_picture_stands_on_a_scale_of_powers_of_ten():
    """Ten to the seventeenth below at the bottom, a hundred at the top, equal steps for equal factors."""
    assert page.height(1e-17) == page.height(0.0) == page.TALL
    assert page.height(100.0) == page.height(float("inf")) == 0.0
    assert page.height(1e-12) - page.height(1e-8) == pytest.approx(page.height(1e-4) - page.height(1.0), abs=0.2)


def test_json_is_strict_and_holds_all_of_it(tmp_path):
    page.write(verdict(), tmp_path)

    def refuse(name):
        raise AssertionError(name)

    found = json.loads((tmp_path / "verdict.json").read_text(), parse_constant=refuse)
    assert (found["outcome"], found["exit_code"]) == ("different", 1)
    assert [row["reference"] for row in found["rows"]] == ["encoder.<b>", "encoder.[/]", "head", "stem"]
    assert found["stages"][1]["deviation"] == "Infinity"
    (cause,) = found["causes"]
    assert (cause["settings"], cause["explained"], cause["left"]) == ({"padding": [[[1, 1]], "same"]}, [2.5e-16, 7.5e-16], 1.25e-15)  # fmt: skip
    assert found["initial"][0]["words"].startswith("stem/weight has a standard deviation of 0.2 in")
    assert found["uncovered"] == ["port: [red] has no <i>partner</i>"]


def test_an_earlier_repro_does_not_stay(tmp_path):
    page.write(verdict(), tmp_path)
    assert dict(np.load(tmp_path / "repro.npz"))["x0"].tolist() == [0, 1, 2]
    page.write(verdict(repro=None), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "verdict.json"]


def test_a_verdict_without_layers_or_causes():
    found = verdict(
        rows=[], causes=[], initial=[], repro=None, uncovered=[], stages=[Stage("forward", EQUAL, 0.0, 1e-12)]
    )
    assert terminal(found, 80).splitlines()[-1].startswith("✓ equal")
    assert "Nothing was left out" in page.html(found)


def test_an_unknown_cause_claims_nothing():
    found = verdict(causes=[Cause("forward, evaluation", "encoder.<b>", "no convention that is known explains both")])
    text = terminal(found, 120)
    assert "cause unknown" in text and "proven" not in text and "change" not in text
    assert "Cause unknown" in page.html(found) and "Cause, proven" not in page.html(found)


def test_the_same_cause_in_many_layers_is_told_once():
    causes = [Cause("forward", f"norm{k}", "ε: 1 here", {"epsilon": (1.0, 2.0)}, True) for k in range(100)]
    causes.append(Cause("forward", "other", "ε: 3 here", {"epsilon": (3.0, 2.0)}, True))
    assert [(one.where, len(others)) for one, others in verdict(causes=causes).alike] == [("norm0", 99), ("other", 0)]
    assert "norm0 and 99 more: norm1, norm2, norm3 …" in terminal(verdict(causes=causes), 120)


def test_many_equal_layers_are_folded():
    rows = [Row(f"block.{k}", f"b{k}", "dense", "Linear", "Dense", 0.0, 1e-16, 1e-16, 1e-12) for k in range(200)]
    rows[120].outputs = rows[120].alone = 1.0
    for row in rows[121:130]:
        row.outputs = 0.5
    text = terminal(verdict(rows=rows, causes=[]), 120)
    assert (
        "✗ 120" in text
        and "9 that only what they are given makes differ, 190 equal" in text
        and len(text.splitlines()) < 30
    )


def test_a_greek_letter_stays_small():
    assert [page.sentence(one) for one in ("ε: 1", "how", "")] == ["ε: 1", "How", ""]


def test_numbers_of_settings_are_short_but_tell_apart():
    assert told([[1, 1], [0.1 + 0.2, None]]) == "[[1, 1], [0.3, –]]"
    assert pair((0.9, 0.09999999999999998)) == ("0.9", "0.1")
    assert pair((0.1, float(np.float32(0.1)))) == ("0.1", "0.10000000149011612")


# ------------------------------------------------------------------------------------------- the matrix


def rows():
    one, two = MISTAKES[0], next(one for one in MISTAKES if one["stage"] == "update")
    about = {"stage_is": True, "layer_is": True, "stage": "forward", "causes": []}
    proven = [{"names": list(two["cause"]), "proven": True}], [{"names": ["slope"], "proven": True}]
    return [
        about | {"name": one["name"], "cause_is": "right"},
        about | {"name": one["name"], "cause_is": "unknown", "layer_is": False},
        about | {"name": two["name"], "cause_is": "right", "causes": proven[0]},
        about | {"name": two["name"], "cause_is": "wrong", "causes": proven[1], "stage_is": False},
        about | {"name": "no longer planted", "cause_is": "wrong"},
    ]


def test_the_matrix_counts():
    lines = publish.written(rows()).splitlines()
    assert lines[0] == "2 mistakes, each in several pairs of frameworks, 4 verdicts:"
    assert "| 50.0% | 25.0% | 25.0% | 0.0% | 75.0% | 75.0% |" in lines
    one, two = MISTAKES[0], next(one for one in MISTAKES if one["stage"] == "update")
    assert f"| {one['name']} | `{one['cause'][0]}` | 2 | 1 | 1 |  |  |  |" in lines
    assert any(line.startswith(f"| {two['name']} |") and line.endswith("| 2 | 1 |  | 1 |  | `slope`; stage forward |") for line in lines)  # fmt: skip


def test_the_matrix_of_all_mistakes_is_short():
    every = [{"name": one["name"], "cause_is": "right", "stage_is": True, "layer_is": True} for one in MISTAKES]
    assert len(publish.written(every).splitlines()) < 150


def test_the_matrix_is_put_where_the_page_has_its_place(tmp_path):
    copy = tmp_path / "diff.md"
    copy.write_text((ROOT / "docs" / "diff.md").read_text(encoding="utf-8"), encoding="utf-8")
    publish.publish(rows(), copy)
    publish.publish(rows(), copy)
    assert copy.read_text(encoding="utf-8").count("| cause right | unknown |") == 1
    (tmp_path / "other.md").write_text("nothing")
    with pytest.raises(UsageError, match="expected a line '<!-- planted: made by"):
        publish.publish(rows(), tmp_path / "other.md")
