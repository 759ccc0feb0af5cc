"""The checks of the reproductions: declared before anything is measured, and judged as they say."""

import dataclasses
import json

import numpy as np
import pytest

from common import data, specs
from common.noise import draw
from common.tools import reproduction
from common.tools.articles import ARTICLES
from common.tools.reproduction import aae, autoencoders, checks, gan, infogan_checks, vae_notes
from common.tools.reproduction.checks import BESIDE, IN_PART, MISSED, REACHED, SHORT
from common.tools.reproduction.evidence import Evidence
from common.tools.reproduction.results import Result, Run

DIGITS = data.load("digits")


def result(model, backend="pytorch", rows=(), probe=None, kept=None, **run):
    found = Result(Run(model, backend, **run), None, specs.get(model), {}, list(rows), probe or {})
    vars(found)["kept"] = kept or {}  # what the property would read from the run's folder
    return found


def evidence(*results):
    return Evidence(list(results), DIGITS)


def verdict(article, what, *results):
    """That of the article's one check whose name begins so."""
    (check,) = [one for one in reproduction.module(article).CHECKS if one.what.startswith(what)]
    (judged,) = checks.judge([check], evidence(*results))
    return judged.verdict


@pytest.mark.parametrize("article", ARTICLES)
def test_a_check_says_beforehand_whose_claim_it_is_and_how_it_is_judged(article):
    every = reproduction.module(article).CHECKS
    models = {run.model for run in reproduction.runs(article, None, None, 1.0, 0)}
    assert every and len({check.what for check in every}) == len(every)
    for check in every:
        assert check.whose in (checks.ARTICLE, checks.PAPER, checks.ELSEWHERE, checks.OURS)
        assert check.claim and check.criterion and check.chance and set(check.models) <= models
        if not check.criterion.startswith("None: "):
            assert "in part: " in check.criterion


def test_a_run_that_stopped_early_decides_nothing():
    def judge(_):
        return "", REACHED

    check = checks.Check("what", checks.OURS, "claim", "criterion", "chance", ("infogan",), judge)
    short, whole = (result("infogan", "paddle", steps=steps) for steps in (2_000, None))
    trial = result("infogan", "paddle", scale=0.5)

    def found(check, *results):
        return [one.verdict for one in checks.judge([check], evidence(*results))]

    assert found(check, short) == found(check, trial) == [SHORT]
    assert found(check, short, whole) == [REACHED]
    five = dataclasses.replace(check, runs=5)
    assert found(five, whole, *[short] * 4) == [SHORT]
    assert found(five, *[whole] * 5) == [REACHED]
    assert found(dataclasses.replace(check, runs=0), short) == [REACHED]
    assert found(dataclasses.replace(check, judge=lambda _: ("", BESIDE)), short) == [BESIDE]
    assert found(check, result("vae")) == []  # its model was not run


LENGTH = 200


def course(**losses):
    """Rows of a run whose losses are given as functions of time from 0 to 1."""
    times = np.linspace(0, 1, LENGTH)
    values = {name: np.asarray(function(times)) for name, function in losses.items()}
    return [{"step": k + 1} | {name: value[k] for name, value in values.items()} for k in range(LENGTH)]


@pytest.mark.parametrize(
    ("loss_g", "loss_d", "expected"),
    [
        (lambda t: 4 - t, lambda t: 0.6 + t, REACHED),
        (lambda t: 1 + 3 * np.minimum(t, 0.6 - t), lambda t: 1.3 - np.minimum(t, 0.6 - t), IN_PART),  # it turns at 0.3
        (lambda t: 1 + 3 * np.minimum(t, 1.6 - t), lambda t: 1.3 - np.minimum(t, 1.6 - t), MISSED),  # at 0.8
        (lambda t: 4 - t, lambda t: 1 - t / 2, MISSED),  # G's loss falls, and so does D's
    ],
)
def test_the_closing_claim_of_the_adversarial_autoencoder(loss_g, loss_d, expected):
    assert verdict("aae", "The two adversarial", result("aae", rows=course(loss_g=loss_g, loss_d=loss_d))) == expected


@pytest.mark.parametrize(("last", "expected"), [(0.2, REACHED), (1.5, IN_PART), (3.0, MISSED)])
def test_codes_that_grow_like_the_prior(last, expected):
    random = np.random.default_rng(0)
    prior = random.normal(0, aae.STD, (1000, 120))
    kept = {1000: {"codes": prior + 4}}
    assert verdict("aae", "The codes", result("aae", kept=kept, probe={"codes": prior + last})) == expected


def of_classes(model, error, classes=10, count=None, seeds=5, whole=True):
    """Runs whose most probable class is the label of all but a share `error` of the test images; known images are all right."""
    wrong = np.arange(len(DIGITS.test_labels)) < round(error * len(DIGITS.test_labels))
    of = {"codes": (DIGITS.test_labels + wrong) % 10, "known": DIGITS.train_labels}
    probe = {name: np.pad(np.eye(classes)[value], ((0, 0), (0, 10))) for name, value in of.items()}
    steps = None if whole else 100
    return [result(model, probe=probe, seed=seed, labelled=count, steps=steps) for seed in range(seeds)]


@pytest.mark.parametrize(
    ("thousand", "three", "expected"), [(0.025, 0.03, REACHED), (0.04, 0.03, IN_PART), (0.04, 0.04, MISSED)]
)
def test_labels_beside_public_numbers(thousand, three, expected):
    runs = [(0.1, 100), (thousand, 1000), (three, 3000)]
    runs = [run for error, count in runs for run in of_classes("aae_few_labels", error, count=count)]
    assert verdict("aae", "Labels: better", *runs) == expected
    assert verdict("aae", "Labels: better", *runs[1:]) == SHORT  # a seed is missing


@pytest.mark.parametrize(
    ("hundred", "thousand", "expected"), [(0.02, 0.0167, REACHED), (0.02, 0.02, IN_PART), (0.03, 0.02, MISSED)]
)
def test_labels_beside_the_paper(hundred, thousand, expected):
    runs = [(hundred, 100), (thousand, 1000), (0.01, 3000)]
    runs = [run for error, count in runs for run in of_classes("aae_few_labels_paper", error, count=count)]
    assert verdict("aae", "Labels: the paper", *runs) == expected


@pytest.mark.parametrize(
    ("few", "expected"),
    [((0.05, 0.05), REACHED), ((0.05, 0.25), IN_PART), ((0.25, 0.25), MISSED)],
)
def test_labels_beside_the_same_network_on_them_alone(few, expected):
    """Of which one seed is worse than the supervised ones, or all."""
    runs = []
    for count in (100, 1000, 3000):
        runs += (
            of_classes("aae_few_labels", few[0], count=count)[1:]
            + of_classes("aae_few_labels", few[1], count=count)[:1]
        )
        runs += of_classes("aae_few_labels_supervised", 0.2, count=count)
    assert verdict("aae", "Labels: what", *runs) == expected


@pytest.mark.parametrize(
    ("sixteen", "thirty", "expected"), [(0.12, 0.06, REACHED), (0.12, 0.1, IN_PART), (0.2, 0.1, MISSED)]
)
def test_clusters_that_are_digits(sixteen, thirty, expected):
    runs = of_classes("aae_clusters", sixteen, 16) + of_classes("aae_clusters_30", thirty, 30)
    assert verdict("aae", "Clusters", *runs) == expected


@pytest.mark.parametrize(("scale", "expected"), [(0.0, REACHED), (1.5, IN_PART), (10.0, MISSED)])
def test_what_is_left_of_the_label_in_the_style(scale, expected):
    """Codes of noise beside so many times the digit's place on a circle; plain `aae` has the digit in its code."""
    random = np.random.default_rng(0)

    def codes(labels, scale):
        turns = 2 * np.pi * labels / 10
        return scale * np.stack([np.cos(turns), np.sin(turns)], axis=1) + random.normal(size=(len(labels), 2))

    runs = []
    for model, size in (("aae_style", scale), ("aae", 10.0)):
        probe = {"codes": codes(DIGITS.test_labels, size), "known": codes(DIGITS.train_labels, size)}
        runs.append(result(model, probe=probe))
    assert verdict("aae", "Style", *runs) == expected


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ((0.76, 0.35), (0.83, 0.19), MISSED),  # they draw apart
        ((0.76, 0.35), (0.70, 0.40), IN_PART),
        ((0.76, 0.35), (0.54, 0.46), REACHED),
    ],
)
def test_the_balance_of_a_gan(first, last, expected):
    rows = [{"step": k, "score_real": real, "score_fake": fake} for k, (real, fake) in enumerate((first, last), 1)]
    rows.insert(1, {"step": 1, "test": {}})
    assert verdict("gan", "The two networks", result("gan", rows=rows)) == expected


def of_latents(model, named, noise, steps=None):
    """A run whose Q names c1 in a share of the samples and whose c2 and c3 come back with so much noise added."""
    spec, count = specs.get(model), 1000
    given, random = draw(spec.sampling_noise, count, 0, "sampling", 1), np.random.default_rng(0)
    category = given["category"].copy()
    category[: round(count * (1 - named))] = np.roll(category[: round(count * (1 - named))], 1, axis=1)
    back = np.concatenate([category, given["codes"] + noise * random.normal(size=(count, 2))], axis=1)
    probe = {"samples": np.zeros((count, 28, 28), np.uint8), "recognised": back}
    return result(model, "tensorflow", probe=probe, steps=steps)


@pytest.mark.parametrize(
    ("named", "noise", "plain", "expected"),
    [
        (0.98, 0.2, 0.3, REACHED),
        (0.98, 1.0, 0.3, IN_PART),
        (0.9, 0.2, 0.3, MISSED),
        (0.98, 0.2, 0.9, MISSED),  # the plain GAN gives c1 back as well
    ],
)
def test_g_as_an_encoder_and_q_as_its_decoder(named, noise, plain, expected):
    runs = of_latents("infogan", named, noise), of_latents("infogan_plain", plain, 1.0)
    assert verdict("infogan", "G as an encoder", *runs) == expected


def test_the_share_of_variance_that_comes_back():
    """Codes ~ U(-1, 1) have variance 1/3; noise of deviation s takes 3 s² of it."""
    named, codes = infogan_checks.returned(of_latents("infogan", 0.75, 0.3))
    assert named == pytest.approx(0.75)
    assert codes == pytest.approx([1 - 3 * 0.3**2] * 2, abs=0.05)


def test_categories_that_agree_with_digits():
    categories = np.repeat(np.arange(10), 20)
    assert infogan_checks.agreement((categories * 3 + 1) % 10, categories) == 1
    assert infogan_checks.agreement(np.tile(np.arange(10), 20), categories) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("ends", "plain", "expected"),
    [((2.28, 2.29), 0.1, REACHED), ((2.2, 2.4), 0.1, IN_PART), ((1.0, 2.0), 0.1, MISSED), ((2.28, 2.29), 2.0, IN_PART)],
)
def test_the_bound_of_the_mutual_information(ends, plain, expected):
    runs = [
        result(model, "tensorflow", rows=[{"step": 1, "info_c1": 0.0}] * 100 + [{"step": 2, "info_c1": end}] * 100)
        for model, end in (*(("infogan", end) for end in ends), ("infogan_plain", plain))
    ]
    assert verdict("infogan", "L_I(c1)", *runs) == expected


def test_c1_varied():
    """Samples that are training images of the digit that c1 names, and of any digit."""
    spec = specs.get("infogan")
    named = draw(spec.sampling_noise, 500, 0, "sampling", 1)["category"].argmax(axis=1)
    first = np.array([np.flatnonzero(DIGITS.train_labels == digit)[0] for digit in range(10)])
    told = {"samples": DIGITS.train_images[first[named]]}
    untold = {"samples": DIGITS.train_images[first[np.random.default_rng(0).integers(10, size=500)]]}

    def found(info, plain):
        runs = result("infogan", "tensorflow", probe=info), result("infogan_plain", "tensorflow", probe=plain)
        return verdict("infogan", "c1 varied", *runs)

    assert (found(told, untold), found(told, told), found(untold, untold)) == (REACHED, MISSED, MISSED)


PROGRAM = {  # what the article's program would have to do
    "one name": {"in two Programs": True, "in one": True},
    "parameters": {"D": ["D_fc_0.w_0", "G_fc_0.w_0"], "G": ["D_fc_0.w_0", "G_fc_0.w_0"], "Infer": ["G_fc_0.w_0"]},
    "moved": {"D": ["D_fc_0.w_0"], "G": ["G_fc_0.w_0"]},
    "names": "taken",
    "loss_d": [1.4, 0.7],
    "loss_g": [0.7, 1.0],
    "unfetched": 100,
    "side": 500,
    "milliseconds": {"without": 1.0, "with": 100.0},
    "feeds": {"float64": "refused", "integers": "refused", "a list of lists": "refused"},
}


@pytest.mark.parametrize(
    ("what", "changes", "expected"),
    [
        ("Programs: one name", {}, REACHED),
        ("Programs: one name", {"one name": {"in two Programs": True, "in one": False}}, IN_PART),
        ("Programs: D and G", {}, REACHED),
        ("Programs: D and G", {"parameters": PROGRAM["parameters"] | {"D": ["D_fc_1.w_0", "G_fc_1.w_0"]}}, MISSED),
        ("Programs: each", {}, REACHED),
        ("Programs: each", {"moved": {"D": [], "G": ["G_fc_0.w_0"]}}, IN_PART),
        ("Programs: each", {"moved": {"D": [], "G": ["D_fc_0.w_0", "G_fc_0.w_0"]}}, MISSED),
        ("Programs: every", {}, REACHED),
        ("Programs: every", {"milliseconds": {"without": 1.0, "with": 1.1}}, MISSED),
        ("Programs: feeds", {}, REACHED),
        ("Programs: feeds", {"feeds": dict.fromkeys(PROGRAM["feeds"], "taken, with another result")}, MISSED),
    ],
)
def test_what_the_article_says_of_programs(what, changes, expected):
    text = json.dumps(PROGRAM | changes).encode()
    run = result("gan_two_layer", "paddle", probe={"program": np.frombuffer(text, np.uint8)})
    assert verdict("infogan", what, run) == expected
    assert verdict("infogan", what, result("gan_two_layer", "jax")) == BESIDE


def of_categories(model, mistaken, steps=None):
    """A run whose c1 errs on so many in a hundred of the test images."""
    labels = DIGITS.test_labels.astype(int)
    wrong = (np.arange(len(labels)) % 100) < mistaken
    codes = np.concatenate([np.eye(10)[(labels + wrong) % 10], np.zeros((len(labels), 2))], axis=1)
    return result(model, "tensorflow", probe={"codes": codes}, steps=steps)


@pytest.mark.parametrize(
    ("errors", "expected"), [([5, 6, 5, 6, 5], REACHED), ([5, 20, 30, 20, 30], IN_PART), ([20] * 5, MISSED)]
)
def test_the_error_of_c1(errors, expected):
    assert verdict("infogan", "Error of c1", *[of_categories("infogan", error) for error in errors]) == expected
    shorter = [of_categories("infogan", error, steps=2_000) for error in errors]
    assert verdict("infogan", "Error of c1", *shorter) == SHORT


@pytest.mark.parametrize(
    ("differences", "expected"), [((0.3, 0.3, 0.1), REACHED), ((0.9, 0.3, 0.1), IN_PART), ((0.3, 0.3, 0.9), MISSED)]
)
def test_what_epsilon_hat_changes(differences, expected):
    def rows(extra):
        steps = (*vae_notes.MILESTONES, 10 * vae_notes.COMMON)
        return [{"step": k, "test": {"loss": 105.0 + more}} for k, more in zip(steps, extra, strict=True)]

    plain = result("vae_z100", "tensorflow", rows=rows((0, 0, 0)), steps=10 * vae_notes.COMMON)
    hat = result(vae_notes.HAT, "tensorflow", rows=rows(differences), steps=10 * vae_notes.COMMON)
    assert verdict("vae_notes", "What TensorFlow", plain, hat) == expected


def coder(model, loss, mirrored, error, exact=0.0):
    probe = {"mirrored": np.array(mirrored), "error": np.array(error), "exact": np.array(exact)}
    return result(model, rows=[{"step": 1, "epoch": 1.0, "test": {"loss": loss}}], probe=probe)


def test_what_the_article_says_of_codes():
    """Mirrored digits are worse in all models, in some, in none; no image comes back exactly, hardly one, many."""
    for mirrored, exact, specific, lossy in (
        ((2, 2, 2), 0.0, REACHED, REACHED),
        ((2, 1, 2), 0.0005, IN_PART, IN_PART),
        ((1, 1, 1), 0.5, MISSED, MISSED),
    ):
        runs = [
            coder(name, 1.0, value, 0.1, exact) for name, value in zip(autoencoders.AUTOENCODERS, mirrored, strict=True)
        ]
        assert verdict("autoencoders", "Codes are specific", *runs) == specific
        assert verdict("autoencoders", "Codes are lossy", *runs) == lossy


@pytest.mark.parametrize(
    ("error", "distance", "expected"),
    [(0.4, 0.4, REACHED), (0.4, 0.9, IN_PART), (0.9, 0.4, IN_PART), (0.9, 0.9, MISSED)],
)
def test_much_better_than_the_plain_autoencoder(monkeypatch, error, distance, expected):
    monkeypatch.setattr(
        Evidence, "frechet", lambda self, run, name="samples": {"drawn": 30.0, "samples": 30.0 * distance}[name]
    )
    plain, vae = coder("autoencoder", 1.0, 2.0, 0.03), coder("vae", 1.0, 2.0, 0.03 * error)
    assert verdict("autoencoders", "The VAE is much", plain, vae) == expected


@pytest.mark.parametrize(("tenth", "expected"), [(105.9, REACHED), (106.5, IN_PART), (110.0, MISSED), (None, SHORT)])
def test_the_tenth_epoch_of_the_vae(tenth, expected):
    rows = [{"step": k, "epoch": k, "test": {"loss": tenth}} for k in ((1, 10) if tenth else (1, 9))]
    assert verdict("autoencoders", "VAE: test loss", result("vae", rows=rows)) == expected


def test_blurred_pictures_beside_noisy_ones():
    """Noise is sharp, and no ink of it is grey; blur is neither. The same pictures on both sides: missed."""
    random = np.random.default_rng(0)
    ink = (random.random((50, 28, 28)) < 0.3).astype(float)
    blurred = sum(np.roll(ink, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    sharp, blurred = ((255 * images).astype(np.uint8) for images in (ink, blurred))
    vae, gan_ = result("vae", probe={"samples": blurred}), result("gan", probe={"samples": sharp})
    assert verdict("autoencoders", "The VAE's pictures", vae, gan_) == REACHED
    gan_.probe["samples"] = blurred
    assert verdict("autoencoders", "The VAE's pictures", vae, gan_) == MISSED


def test_losses_of_an_epoch_stand_beside():
    rows = [{"step": k, "loss_d": 1.0, "loss_g": 2.0} for k in (1, 2)] + [{"step": 2, "test": {}}]
    (judged,) = checks.judge([gan.CHECKS[1]], evidence(result("gan", rows=rows)))
    assert (judged.ours, judged.verdict) == ("1.000 / 2.000", BESIDE)
