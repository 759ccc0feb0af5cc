"""What article `infogan` and its paper claim, and how it is judged; the figures and tables are in infogan.py."""

import json
import math

import numpy as np

from common.data import Dataset
from common.noise import draw
from common.tools.evaluation.matching import match
from common.tools.evaluation.nearest import nearest_labels
from common.tools.reproduction.checks import ARTICLE, BESIDE, PAPER, Check, graded
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.measures import unit
from common.tools.reproduction.results import Result

CATEGORIES, CODES, SEEDS = 10, 2, 5
JUDGED, KNOWN = 2_000, 10_000  # samples whose digit is asked for; training images among which the nearest is looked for


def error(codes: np.ndarray, data: Dataset) -> float:
    """Error rate of c1 on the test images, under the best one-to-one matching of categories to digits."""
    return match(*categories_and_labels(codes, data))[0]


def shares(codes: np.ndarray, data: Dataset) -> np.ndarray:
    """(10, 10): of each digit (columns) the share in each category (rows), in the order of the matched digits."""
    categories, labels = categories_and_labels(codes, data)
    matched = match(categories, labels)[1]
    counts = np.zeros((CATEGORIES, CATEGORIES))
    np.add.at(counts, (matched[categories], labels), 1)
    return counts / np.maximum(1, counts.sum(axis=0))


def categories_and_labels(codes: np.ndarray, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return codes[:, :CATEGORIES].argmax(axis=1), data.test_labels[: len(codes)]


def bound(result: Result, step: float = math.inf) -> float:
    """L_I(c1), mean of the last 100 steps up to this one."""
    return result.late("info_c1", step)


def latents(result: Result) -> dict[str, np.ndarray]:
    """Those that the probe's samples were generated from."""
    return draw(result.spec.sampling_noise, len(result.probe["samples"]), 0, "sampling", 1)


def agreement(digits: np.ndarray, categories: np.ndarray) -> float:
    """Of the images of one category the share that shows the digit that most of them show; mean over the categories."""
    found = [digits[categories == category] for category in np.unique(categories)]
    return float(np.mean([np.bincount(part).max() / len(part) for part in found]))


def digit_share(result: Result, data: Dataset) -> float:
    """`agreement` of the first samples, whose digits are those of their nearest training images."""
    judged = nearest_labels(
        unit(result.probe["samples"][:JUDGED]), unit(data.train_images[:KNOWN]), data.train_labels[:KNOWN]
    )
    return agreement(judged, latents(result)["category"][:JUDGED].argmax(axis=1))


def returned(result: Result) -> tuple[float, list[float]]:
    """(share of the samples whose c1 Q names, R² of c2 and c3 as Q's means have them): what comes back from G through Q."""
    given, back = latents(result), result.probe["recognised"]
    named = np.mean(back[:, :CATEGORIES].argmax(axis=1) == given["category"].argmax(axis=1))
    codes, means = given["codes"], back[:, CATEGORIES:]
    lost = np.mean((means - codes) ** 2, axis=0) / np.var(codes, axis=0)
    return float(named), list(1 - lost)


# ------------------------------------------------------------------------------------------------ judges


def _whole(evidence, model):
    """Its runs of full length, or all where there are none."""
    return evidence.whole(model) or evidence.of(model)


def _said(evidence, model):
    return f"{len(evidence.whole(model))} of {len(evidence.of(model))} runs at full length"


def _bound(evidence: Evidence):
    runs = _whole(evidence, "infogan")
    found, plain = [bound(run) for run in runs], max(bound(run) for run in _whole(evidence, "infogan_plain"))
    ours = f"{min(found):.3f} to {max(found):.3f} ({_said(evidence, 'infogan')}); plain GAN {plain:.3f}"
    return ours, graded(min(found) >= 2.25 and plain <= 1, np.mean(found) >= 2.25)


def _error_of(model):
    def judged(evidence: Evidence):
        runs = _whole(evidence, model)
        found = [error(run.probe["codes"], evidence.data) for run in runs]
        ours = f"{100 * min(found):.1f}% to {100 * max(found):.1f}%, mean {100 * np.mean(found):.1f}% ({_said(evidence, model)})"
        others = [run for run in evidence.of(model) if run.run.name not in {one.run.name for one in runs}]
        others = [error(run.probe["codes"], evidence.data) for run in others]
        ours += f"; shorter runs {100 * min(others):.1f}% to {100 * max(others):.1f}%" if others else ""
        return ours, graded(np.mean(found) <= 0.07, min(found) <= 0.07)

    return judged


def _without_meaning(evidence: Evidence):
    info, plain = (digit_share(_whole(evidence, model)[0], evidence.data) for model in ("infogan", "infogan_plain"))
    ours = f"InfoGAN {100 * info:.0f}%, plain GAN {100 * plain:.0f}%"
    return ours, graded(info >= 0.5 and plain <= 0.3, plain <= info - 0.2)


def _autoencoder(evidence: Evidence):
    (named, codes), (plain, plain_codes) = (returned(_whole(evidence, m)[0]) for m in ("infogan", "infogan_plain"))
    ours = (
        f"c1 {100 * named:.1f}%, R² of c2 and c3 {codes[0]:.2f} and {codes[1]:.2f}; plain GAN {100 * plain:.1f}%, "
        f"{plain_codes[0]:.2f} and {plain_codes[1]:.2f}"
    )
    comes_back = named >= 0.95 and plain <= 0.5
    return ours, graded(comes_back and min(codes) >= 0.5, comes_back)


def of_program(probed: dict[str, np.ndarray]) -> dict | None:
    """What the probe of the article's own program wrote down (backends/paddle/printed); None if the program was not run."""
    return json.loads(probed["program"].tobytes()) if "program" in probed else None


def _of_program(judge):
    """A judge of what the article's program did, which only Paddle's run of its model knows."""

    def judged(evidence: Evidence):
        found = of_program(evidence.one("gan_two_layer").probe)
        return judge(found) if found else ("not run: it is a program for Paddle", BESIDE)

    return judged


def _one_name(found):
    same = found["one name"]
    ours = "; ".join(f"{where}: {'one variable' if one else 'two'}" for where, one in same.items())
    return ours, graded(all(same.values()), any(same.values()))


def _shared(found):
    names = found["parameters"]
    both = set(names["D"]) & set(names["G"])
    ours = ", ".join(f"{program}'s Program has {_listed(of)}" for program, of in names.items())
    return f"{ours}: {len(both)} in both of D's and G's", graded(len(both) == len(names["G"]), bool(both))


def _listed(names):
    return ", ".join(sorted({name.split(".")[0] for name in names}))


def _trains(found):
    moved = found["moved"]
    ours = "; ".join(
        f"running {name}'s Program moves " + (_listed(moved[name]) if moved[name] else "nothing") for name in ("D", "G")
    )
    ours += f"; D's loss {found['loss_d'][0]:.2f} → {found['loss_d'][-1]:.2f}, G's {found['loss_g'][0]:.2f} → {found['loss_g'][-1]:.2f}"
    of = {name: [p for p in found["parameters"][name] if p.startswith(name)] for name in ("D", "G")}
    right = [moved[name] == of[name] for name in of]
    return f"{ours}. By their names, as printed, `minimize` takes no parameters: {found['names']}", graded(
        all(right), any(right)
    )


def _everything_runs(found):
    plain, more = found["milliseconds"]["without"], found["milliseconds"]["with"]
    ours = f"{plain:.1f} ms a run without, {more:,.0f} ms with {found['unfetched']} products of {found['side']} × {found['side']} that nobody fetches"
    return ours, graded(more > 10 * plain, more > 2 * plain)


def _wrong_feeds(found):
    ours = "; ".join(f"{name}: {said}" for name, said in found["feeds"].items())
    refused = [found["feeds"][name] == "refused" for name in ("float64", "integers")]
    return ours, graded(all(refused), any(refused))


# ------------------------------------------------------------------------------------------------- checks

CHECKS = (
    Check(
        what="L_I(c1), of InfoGAN and of a plain GAN",
        whose=PAPER,
        claim="For InfoGAN the bound reaches H(c1) = ln 10 ≈ 2.30, while it stays low for a plain GAN. (The article: by comparison with a plain GAN, the "
        "authors prove that InfoGAN does optimise this lower bound.)",
        original="首先，通过和普通的 GAN 比较 LI ，作者证明了 InfoGAN 确实能够优化这一互信息的下界",
        criterion="At the end (mean of the last 100 steps) at least 2.25 in every run of full length, and at most 1 for the plain GAN, whose Q "
        "learns on the side; in part: at least 2.25 in the mean.",
        chance="One run of full length at least of each.",
        models=("infogan", "infogan_plain"),
        judge=_bound,
    ),
    Check(
        what="Error of c1 as a classifier without labels",
        whose=PAPER,
        claim="c1 alone, matched to digits, classifies MNIST with an error of 5%. (The article: InfoGAN learns well what sets kinds of data apart.)",
        original="InfoGAN 不仅能够很好地学习数据之间的类型差别，也能够很好地学习到数据本身的一些易于区分的特点",
        criterion="At most 7% in the mean over the runs of full length, on the test images, the matching made on them; in part: in the best.",
        chance=f"{SEEDS} seeds at full length; with fewer nothing is decided. What moves it: docs/reproducing.md.",
        models=("infogan",),
        judge=_error_of("infogan"),
        runs=SEEDS,
    ),
    Check(
        what="c1 with the settings of the paper's code",
        whose=PAPER,
        claim="The same 5%: the paper's code fixes the deviation of c2 and c3, weighs all codes by 1, and has a slope of 0.01.",
        criterion="As above: at most 7% in the mean over the seeds; in part: in the best.",
        chance=f"{SEEDS} seeds at full length.",
        models=("infogan_paper",),
        judge=_error_of("infogan_paper"),
        runs=SEEDS,
    ),
    Check(
        what="c1 varied on a plain GAN",
        whose=PAPER,
        claim="On a regular GAN, varying c1 has no clear meaning (figure 2b); on InfoGAN it is the kind of digit (2a).",
        criterion="The share of a category's samples that show its commonest digit, mean over the ten: at least 50% for InfoGAN, at most 30% for "
        f"the plain GAN; in part: 20 points apart. The digit of a sample is that of the nearest of {KNOWN:,} training images.",
        chance=f"One run each, {JUDGED:,} samples; where c1 says nothing and all digits are as common, 14% are expected: the largest of ten shares of some 200 images.",
        models=("infogan", "infogan_plain"),
        judge=_without_meaning,
    ),
    Check(
        what="G as an encoder, Q as its decoder",
        whose=ARTICLE,
        claim="To optimise L_I is to train an autoencoder whose encoder is G, whose decoder is Q, and whose code is the image.",
        original="以 G 为编码器（Encoder）， Q 为解码器（Decoder），生成的图像作为我们要编码的码（code），训练一个自编码器（Autoencoder）",
        criterion="What goes in comes back: of 10,000 samples Q names c1 in at least 95% (at most half for the plain GAN), and its means of c2 and c3 "
        "explain at least half of their variance; in part: c1 alone.",
        chance="One run each of full length.",
        models=("infogan", "infogan_plain"),
        judge=_autoencoder,
    ),
    Check(
        what="Programs: one name is one parameter",
        whose=ARTICLE,
        claim="Variables of one name, in the same or in different Programs, are the same variable.",
        original="在同一或者不同 fluid. Program() 间，同名 … 的 fluid.Variable 所指向的变量是相同的",
        criterion="Two layers with a weight of one name have one weight, in one Program and in two; in part: in one of these cases.",
        chance="No chance is in it.",
        models=("gan_two_layer",),
        judge=_of_program(_one_name),
        runs=0,
    ),
    Check(
        what="Programs: D and G are one network each, whichever Program they are called in",
        whose=ARTICLE,
        claim="So the same name can be used as often as wanted, in one Program or several, without the trouble of TensorFlow's reuse.",
        original="所以同一名称在同一或者不同 fluid.Program () 中可以被使用多次，而不用担心 TensorFlow 中会出现的 reuse 问题",
        criterion="In the article's program, called as printed, all parameters of G's Program are in D's too; in part: some.",
        chance="No chance is in it: names are counted.",
        models=("gan_two_layer",),
        judge=_of_program(_shared),
        runs=0,
    ),
    Check(
        what="Programs: each optimiser trains its network",
        whose=ARTICLE,
        claim="D's Program trains D and G's trains G, each by the names that begin with its letter.",
        criterion="Running either moves all parameters of its network in it and nothing else; in part: one of the two does.",
        chance="No chance is in it: what moved is looked at.",
        models=("gan_two_layer",),
        judge=_of_program(_trains),
        runs=0,
    ),
    Check(
        what="Programs: every operator runs, fetched or not",
        whose=ARTICLE,
        claim="Paddle does not look for what a fetched value depends on: operations that are not used are computed too.",
        original="即使在计算 fetch_list 中的值的时候不会用到操作也会被计算",
        criterion="A run that fetches one sum takes more than ten times as long with matrix products next to it that nobody fetches; in "
        "part: more than twice.",
        chance="The least of several runs each.",
        models=("gan_two_layer",),
        judge=_of_program(_everything_runs),
        runs=0,
    ),
    Check(
        what="Programs: feeds of a wrong type are refused",
        whose=ARTICLE,
        claim="What is fed must have the type that was declared, else there is an error; a list may give one too.",
        original="传入数据的数据类型必须与fluid.layers.data中定义的类型一致，否则会报错",
        criterion="float64 and integers for float32 are refused; in part: one of them. What a list gives is told.",
        chance="No chance is in it.",
        models=("gan_two_layer",),
        judge=_of_program(_wrong_feeds),
        runs=0,
    ),
)
