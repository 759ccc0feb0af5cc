"""The specifications, by name: one file a model, each of which can be executed in NumPy float64."""

from common.errors import UsageError, choose
from common.specs.aae import AAE, AAE_AS_PUBLISHED
from common.specs.aae_labels import (
    AAE_CLUSTERS,
    AAE_CLUSTERS_30,
    AAE_FEW_LABELS,
    AAE_FEW_LABELS_PAPER,
    AAE_FEW_LABELS_SUPERVISED,
)
from common.specs.aae_style import AAE_STYLE
from common.specs.autoencoder import AUTOENCODER
from common.specs.conv_autoencoder import CONV_AUTOENCODER
from common.specs.gan import GAN
from common.specs.gan_conv import GAN_CONV
from common.specs.gan_two_layer import GAN_TWO_LAYER
from common.specs.infogan import (
    INFOGAN,
    INFOGAN_CATEGORY,
    INFOGAN_CODES,
    INFOGAN_JOINT,
    INFOGAN_PAPER,
    INFOGAN_PLAIN,
    INFOGAN_SLOPE,
)
from common.specs.infogan_colour import (
    INFOGAN_CELEBA,
    INFOGAN_CHAIRS,
    INFOGAN_CHAIRS_JOINT,
    INFOGAN_CHAIRS_JOINT_PLAIN,
    INFOGAN_CHAIRS_PLAIN,
    INFOGAN_CHAIRS_WIDTH,
    INFOGAN_FACES,
    INFOGAN_FACES_ELEVATION,
    INFOGAN_FACES_FIXED,
    INFOGAN_FACES_LIGHTING,
    INFOGAN_FACES_PLAIN,
    INFOGAN_SVHN,
    INFOGAN_SVHN_TENTH,
    INFOGAN_SVHN_TEXT,
)
from common.specs.records import Spec
from common.specs.vae import VAE, VAE_CHAIRS, VAE_HEADS, VAE_Z100, VAE_Z100_EPSILON_HAT
from common.specs.vae_gan import VAE_GAN, VAE_GAN_MNIST

SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        AUTOENCODER,
        CONV_AUTOENCODER,
        VAE,
        VAE_Z100,
        VAE_GAN_MNIST,
        VAE_GAN,
        GAN,
        GAN_CONV,
        GAN_TWO_LAYER,
        AAE,
        AAE_STYLE,
        AAE_FEW_LABELS,
        AAE_CLUSTERS,
        INFOGAN,
        INFOGAN_SVHN,
        INFOGAN_CELEBA,
        INFOGAN_FACES,
        INFOGAN_CHAIRS,
    )
}

# Other settings of these models, which the reproductions of the articles set beside them.
VARIANTS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        VAE_Z100_EPSILON_HAT,
        VAE_HEADS,
        VAE_CHAIRS,
        AAE_AS_PUBLISHED,
        AAE_FEW_LABELS_PAPER,
        AAE_FEW_LABELS_SUPERVISED,
        AAE_CLUSTERS_30,
        INFOGAN_PLAIN,
        INFOGAN_SLOPE,
        INFOGAN_CODES,
        INFOGAN_CATEGORY,
        INFOGAN_JOINT,
        INFOGAN_PAPER,
        INFOGAN_SVHN_TENTH,
        INFOGAN_SVHN_TEXT,
        INFOGAN_FACES_ELEVATION,
        INFOGAN_FACES_LIGHTING,
        INFOGAN_FACES_FIXED,
        INFOGAN_FACES_PLAIN,
        INFOGAN_CHAIRS_PLAIN,
        INFOGAN_CHAIRS_WIDTH,
        INFOGAN_CHAIRS_JOINT,
        INFOGAN_CHAIRS_JOINT_PLAIN,
    )
}


def get(name: str) -> Spec:
    """The specification, or the variant of one, called `name`; UsageError with the choices if there is none."""
    if (spec := SPECS.get(name) or VARIANTS.get(name)) is None:
        raise UsageError(f"unknown model {name!r}{choose(name, (*SPECS, *VARIANTS))}")
    return spec


def as_published(name: str) -> Spec:
    """The model called `name` with its article's erratum; UsageError if there is no such variant."""
    variant = VARIANTS.get(f"{get(name).name}_as_published")
    if variant is None:
        raise UsageError(f"{name} has no --as-published; choose one of: aae")
    return variant
