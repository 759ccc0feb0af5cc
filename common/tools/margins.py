"""What `results` trains, and how near two frameworks must come: both written down before a run is made.

No margin comes from what is judged by it.
"""

from dataclasses import dataclass

from common.tools.evaluation.equivalence import Margin


@dataclass(frozen=True)
class Plan:
    """So many training steps from so many seeds; steps None: the specification's length."""

    steps: int | None
    seeds: int


# Ten epochs where they take seconds, less where an update is dear.
PLANS = {
    "autoencoder": Plan(4680, 20),
    "conv_autoencoder": Plan(936, 10),
    "vae": Plan(4680, 20),
    "vae_z100": Plan(9370, 20),
    "gan": Plan(1404, 10),
    "gan_two_layer": Plan(4680, 10),
    "aae": Plan(1500, 10),
    "infogan": Plan(250, 5),
}
OTHER = Plan(None, 5)  # of a model that is not named

MARGINS: dict[tuple[str, str], Margin] = {}
