"""What `results` trains, and how near two frameworks must come: both written down before a run is made.

No margin comes from what is judged by it. Where a test loss is still falling, δ is a tenth of the way: what the last tenth of
the training brings, in JAX from seeds 1000 and on, rounded to its first digit or two. Two frameworks that are nearer than that
differ by less than a little more training. Where a measure does not fall so, its scale is one that a reader knows.
"""

from dataclasses import dataclass

from common.tools.evaluation.equivalence import Margin


@dataclass(frozen=True)
class Plan:
    """So many training steps from so many seeds; steps None: the specification's length."""

    steps: int | None
    seeds: int


# Ten epochs where they take seconds, less where an update is dear: together an hour and a half on two cores.
PLANS = {
    "autoencoder": Plan(4680, 20),
    "conv_autoencoder": Plan(936, 10),
    "vae": Plan(4680, 20),
    "vae_z100": Plan(4680, 20),
    "gan": Plan(468, 10),
    "gan_conv": Plan(150, 5),
    "gan_two_layer": Plan(2340, 10),
    "aae": Plan(600, 10),
    "aae_style": Plan(600, 10),
    "aae_few_labels": Plan(600, 10),
    "aae_clusters": Plan(600, 10),
    "infogan": Plan(150, 5),
    "vae_gan_mnist": Plan(150, 5),
}
OTHER = Plan(None, 5)  # of a model that is not named


def _tenth(value: float, measured: str) -> Margin:
    return Margin(value, f"a tenth of the way: the last tenth of the training brings {measured}")


_DISTANCE = Margin(
    1.25,
    "from 0.8 to 1.25, the limits of trials of bioequivalence: the distance has no unit that a reader knows, and seeds move it "
    "by factors",
    ratio=True,
)
_LOSS_OF_AAE = Margin(0.004, "that of `aae`: the same mean over the pixels of the same images, after as many steps")
_DISTANCE_OF_VAES = Margin(
    1.1,
    "a third of what lies between the two VAEs of the articles, a factor of 1.35 (3.57 and 4.83, other seeds)",
    ratio=True,
)

MARGINS: dict[tuple[str, str], Margin] = {
    ("autoencoder", "test loss, squared error"): _tenth(0.002, "0.0017 (five seeds)"),
    ("conv_autoencoder", "test loss, squared error"): _tenth(0.007, "0.0070 (five seeds)"),
    ("vae", "test loss, nats"): _tenth(0.3, "0.29 (five seeds); 0.37 in the public record, 106.7 after 7 epochs, 105.6 after 10"),
    ("vae", "Fréchet distance"): _DISTANCE_OF_VAES,
    ("vae_z100", "test loss, nats"): _tenth(1.3, "1.29 (five seeds)"),
    ("vae_z100", "Fréchet distance"): _DISTANCE_OF_VAES,
    ("gan", "Fréchet distance"): _DISTANCE,
    ("gan_conv", "Fréchet distance"): _DISTANCE,
    ("gan_two_layer", "Fréchet distance"): _DISTANCE,
    ("vae_gan_mnist", "Fréchet distance"): _DISTANCE,
    ("aae", "test loss, BCE per pixel"): _tenth(0.004, "0.0043 (three seeds)"),
    ("aae", "Fréchet distance"): _DISTANCE,
    ("aae_style", "test loss, BCE per pixel"): _tenth(0.002, "0.0018 (one seed)"),
    ("aae_style", "Fréchet distance"): _DISTANCE,
    ("aae_few_labels", "test loss, BCE per pixel"): _LOSS_OF_AAE,
    ("aae_few_labels", "error of labels, %"): Margin(
        0.6, "what lies between the two public implementations that the article's page is compared with, 2.9% and 3.5%"
    ),
    ("aae_few_labels", "Fréchet distance"): _DISTANCE,
    ("aae_clusters", "test loss, BCE per pixel"): _LOSS_OF_AAE,
    ("aae_clusters", "error of labels, %"): Margin(
        5.0, "a little less than what the paper gains by 30 clusters for 16: 5.45 points, from 9.55% to 4.10%"
    ),
    ("aae_clusters", "Fréchet distance"): _DISTANCE,
    ("infogan", "L_I(c1), nats"): Margin(
        0.05, "less than half of what the weight of the continuous codes moves: 0.12, from 2.27 to 2.15 (docs/reproducing.md)"
    ),
    ("infogan", "error of c1, %"): Margin(5.0, "the error itself that the paper reports, in percent"),
    ("infogan", "Fréchet distance"): _DISTANCE,
}  # fmt: skip
