"""The specifications say what the articles say."""

import dataclasses
import importlib
import itertools
import math
import sys

import numpy as np
import pytest

from common import specs
from common.contract import Snapshot
from common.errors import UsageError
from common.parameters import initial_parameters
from common.reference.networks import Networks
from common.specs.draws import Bernoulli, FixedNormal, Noise, Normal, OneHot, Uniform
from common.specs.layers import BatchNorm, Conv, ConvTranspose, Dense, Dropout, LeakyRelu, Network, Reshape
from common.specs.records import RMSProp


def few_labels(categories):
    """With `categories` outputs of the softmax and 10 numbers of style, which the two discriminators take one each."""
    encoder = 784 * 1000 + 1000 * 1000 + 1000 + 1000
    heads = 1000 * categories + categories + 1000 * 10 + 10
    decoder = (categories + 10) * 1000 + 1000 * 1000 + 1000 * 784 + 1000 + 1000 + 784
    return encoder + heads + decoder + (10 + categories) * 1000 + 2 * (1000 * 1000 + 1000 + 1000 + 1000 + 1)


def of_streets(latent, heads):
    generator = latent * 1792 + 2 * 1792 + 448 * 256 * 16 + 2 * 256
    generator += 256 * 128 * 16 + 128 + 128 * 64 * 16 + 64 + 64 * 3 * 16 + 3
    trunk = 3 * 64 * 16 + 64 + 64 * 128 * 16 + 2 * 128 + 128 * 256 * 16 + 2 * 256
    return generator + trunk + (4096 + 1) + (4096 * 128 + 2 * 128 + 128 * heads + heads)


# Worked out by hand from the sizes in the articles: Dense a -> b has a·b + b parameters.
PARAMETER_COUNTS = {
    "autoencoder": 2 * (784 * 128 + 128 * 64 + 64 * 12 + 12 * 3) + (128 + 64 + 12 + 3) + (12 + 64 + 128 + 784),
    "conv_autoencoder": (16 * 1 * 9 + 16) + (8 * 16 * 9 + 8) + (8 * 16 * 9 + 16) + (16 * 8 * 25 + 8) + (8 * 1 * 4 + 1),
    "vae": (784 * 400 + 400) + 2 * (400 * 20 + 20) + (20 * 400 + 400) + (400 * 784 + 784),
    "vae_z100": (784 * 128 + 128) + 2 * (128 * 100 + 100) + (100 * 128 + 128) + (128 * 784 + 784),
    "gan": (100 * 256 + 256 * 512 + 512 * 1024 + 1024 * 784 + 256 + 512 + 1024 + 784)
    + (784 * 1024 + 1024 * 512 + 512 * 256 + 256 + 1024 + 512 + 256 + 1),
    # No bias before a batch norm, which has two parameters a feature.
    "gan_conv": (100 * 6272 + 2 * 128 + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1)
    + (64 * 16 + 64 + 64 * 128 * 16 + 2 * 128 + 6272 + 1),
    "gan_two_layer": (100 * 256 + 256 + 256 * 784 + 784) + (784 * 256 + 256 + 256 + 1),
    "aae": (784 * 1000 + 1000 * 1000 + 1000 * 120 + 1000 + 1000 + 120)
    + (120 * 1000 + 1000 * 1000 + 1000 * 784 + 1000 + 1000 + 784)
    + (120 * 500 + 500 * 500 + 500 + 500 + 500 + 1),
    "aae_style": (784 * 1000 + 1000 * 1000 + 1000 * 2 + 1000 + 1000 + 2)
    + (12 * 1000 + 1000 * 1000 + 1000 * 784 + 1000 + 1000 + 784)
    + (2 * 1000 + 1000 * 1000 + 1000 + 1000 + 1000 + 1),
    "aae_few_labels": few_labels(10),
    "aae_clusters": few_labels(16),
    "infogan": (74 * 1024 + 2 * 1024 + 1024 * 6272 + 2 * 6272 + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1)
    + (64 * 16 + 64 + 64 * 128 * 16 + 2 * 128 + 6272 * 1024 + 2 * 1024)
    + (1024 + 1)
    + (1024 * 128 + 2 * 128 + 128 * 14 + 14),
    "infogan_svhn": of_streets(168, heads=4 * 10 + 2 * 4),
    "infogan_celeba": of_streets(228, heads=10 * 10),
    "infogan_faces": (133 * 1024 + 2 * 1024 + 1024 * 8192 + 2 * 8192 + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1)
    + (64 * 16 + 64 + 64 * 128 * 16 + 2 * 128 + 8192 * 1024 + 2 * 1024)
    + (1024 + 1)
    + 2 * (1024 * 5 + 5),
    "infogan_chairs": (189 * 1024 + 2 * 1024 + 1024 * 16384 + 2 * 16384 + 2 * (256 * 256 * 9 + 2 * 256))
    + (256 * 128 * 16 + 2 * 128 + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1)
    + (64 * 16 + 64 + 64 * 128 * 16 + 2 * 128 + 128 * 256 * 16 + 2 * 256 + 2 * (256 * 256 * 9 + 2 * 256))
    + (16384 * 1024 + 2 * 1024)
    + (1024 + 1)
    + (1024 * 60 + 60)
    + 2 * (1024 + 1),
    "vae_gan": (3 * 64 * 25 + 2 * 64 + 64 * 128 * 25 + 2 * 128 + 128 * 256 * 25 + 2 * 256)
    + (16384 * 2048 + 2 * 2048 + 2 * (2048 * 128 + 128))
    + (128 * 16384 + 2 * 16384 + 256 * 256 * 25 + 2 * 256 + 256 * 128 * 25 + 2 * 128 + 128 * 32 * 25 + 2 * 32)
    + (32 * 3 * 25 + 3)
    + (3 * 32 * 25 + 32 + 32 * 128 * 25 + 2 * 128 + 128 * 256 * 25 + 2 * 256 + 256 * 256 * 25)
    + (2 * 256 + 16384 * 512 + 2 * 512 + 512 + 1),
    "vae_gan_mnist": (32 * 25 + 2 * 32 + 32 * 64 * 25 + 2 * 64 + 3136 * 256 + 2 * 256 + 2 * (256 * 32 + 32))
    + (32 * 3136 + 2 * 3136 + 64 * 64 * 25 + 2 * 64 + 64 * 32 * 25 + 2 * 32 + 32 * 25 + 1)
    + (16 * 25 + 16 + 16 * 32 * 25 + 2 * 32 + 32 * 64 * 25)
    + (2 * 64 + 3136 * 128 + 2 * 128 + 128 + 1),
}


def test_every_model_has_a_count():
    assert set(PARAMETER_COUNTS) == set(specs.SPECS)


def test_parameter_count(spec):
    assert spec.parameter_count() == PARAMETER_COUNTS[spec.name]
    assert spec.parameter_count() == sum(value.size for value in initial_parameters(spec, 0).values())


def test_networks_pass_shapes_through(spec):
    parameters = initial_parameters(spec, 0)
    networks = Networks(spec, parameters, Snapshot.start(spec, parameters).statistics, training=True)
    for network in spec.networks:
        output = getattr(networks, network.name)(np.zeros((3, *network.input_shape)))
        rows = network.rows()
        if network.heads:
            assert {name: value.shape for name, value in output.items()} == {
                head.name: (3, *shape) for head, shape in rows[-len(network.heads) :]
            }
        else:
            assert output.shape == (3, *rows[-1][1])


def test_the_shapes_that_the_article_prints():
    spec = specs.get("conv_autoencoder")
    shapes = [
        shape
        for name in ("encoder", "decoder")
        for layer, shape in spec.network(name).rows()
        if layer.name[:4] in ("conv", "max ")
    ]
    assert shapes == [(16, 10, 10), (16, 5, 5), (8, 3, 3), (8, 2, 2), (16, 5, 5), (8, 15, 15), (1, 28, 28)]


def test_fans_of_convolutions():
    """PyTorch's rule and Paddle's: in from a weight's second axis, out from its first, also where the first is the inputs."""
    layers = specs.get("conv_autoencoder").layers()
    for layer in layers.values():
        first, second, *window = layer.parameters["weight"]
        assert (layer.fan_in, layer.fan_out) == (second * math.prod(window), first * math.prod(window))


def test_a_layer_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"fc1 takes \(5,\), not \(4,\)"):
        Network("n", (3,), (Dense("fc0", 3, 4), Dense("fc1", 5, 1))).rows()


def test_initial_values_follow_the_rule():
    vae, z100 = (initial_parameters(specs.get(name), 0) for name in ("vae", "vae_z100"))
    for kind in ("weight", "bias"):  # U(-1/√784, 1/√784)
        value = vae[f"encoder.fc0.{kind}"]
        assert np.abs(value).max() <= 1 / 28
        assert np.abs(value).max() > 0.98 / 28
    n = vae["encoder.fc0.weight"].size
    assert vae["encoder.fc0.weight"].std() == pytest.approx(1 / 28 / math.sqrt(3), rel=5 / math.sqrt(n))
    weight = z100["encoder.fc0.weight"]  # N(0, 2/784)
    assert weight.std() == pytest.approx(math.sqrt(2 / 784), rel=5 / math.sqrt(weight.size))
    assert all(not value.any() for name, value in z100.items() if name.endswith("bias"))
    two_layer = initial_parameters(specs.get("gan_two_layer"), 0)  # ±√(6 / (784 + 256))
    weight = two_layer["discriminator.fc0.weight"]
    assert 0.0759 < np.abs(weight).max() <= math.sqrt(6 / 1040)
    assert weight.std() == pytest.approx(math.sqrt(2 / 1040), rel=5 / math.sqrt(weight.size))
    assert all(not value.any() for name, value in two_layer.items() if name.endswith("bias"))


def test_initial_values_depend_on_seed_and_name(spec):
    a, b, again = (initial_parameters(spec, seed) for seed in (0, 1, 0))
    for name in a:
        if a[name].std():
            assert not np.array_equal(a[name], b[name])
        assert np.array_equal(a[name], again[name])
    values = [value.ravel()[:3].tobytes() for value in a.values() if value.std()]
    assert len(set(values)) == len(values)


def test_hyperparameters_of_the_articles():
    autoencoder, vae, z100 = (specs.get(name) for name in ("autoencoder", "vae", "vae_z100"))
    for spec in (autoencoder, vae, z100):
        (update,) = spec.updates
        assert (update.optimizer.learning_rate, update.optimizer.beta1, update.optimizer.beta2) == (1e-3, 0.9, 0.999)
        assert update.optimizer.epsilon == 1e-8
        assert update.networks == ("encoder", "decoder")
    assert [spec.updates[0].optimizer.l2 for spec in (autoencoder, vae, z100)] == [1e-5, 0, 0]
    assert [spec.training.batch_size for spec in (autoencoder, vae, z100)] == [128, 128, 64]
    assert [spec.images.pixels for spec in (autoencoder, vae, z100)] == [(-1, 1), (0, 1), (0, 1)]
    assert [spec.reduction for spec in (autoencoder, vae, z100)] == ["mean", "sum", "mean"]
    assert (vae.options, z100.options) == ({"hidden": 400, "latent": 20}, {"hidden": 128, "latent": 100})


def test_hyperparameters_of_the_adversarial_articles():
    gan, two_layer, aae = (specs.get(name) for name in ("gan", "gan_two_layer", "aae"))
    for spec in (gan, two_layer):
        assert [(update.name, update.networks) for update in spec.updates] == [
            ("discriminator", ("discriminator",)),
            ("generator", ("generator",)),
        ]
    assert [(update.name, update.networks) for update in aae.updates] == [
        ("reconstruction", ("encoder", "decoder")),
        ("discriminator", ("discriminator",)),
        ("generator", ("encoder",)),
    ]
    rates = {spec.name: [update.optimizer.learning_rate for update in spec.updates] for spec in (gan, two_layer, aae)}
    assert rates == {"gan": [2e-4, 2e-4], "gan_two_layer": [1e-3, 1e-3], "aae": [1e-4, 5e-5, 5e-5]}
    assert [spec.training.batch_size for spec in (gan, two_layer, aae)] == [128, 128, 100]
    assert [spec.images.pixels for spec in (gan, two_layer, aae)] == [(-1, 1), (0, 1), (0, 1)]
    assert {layer.rate for layer in gan.network("discriminator").layers if isinstance(layer, Dropout)} == {0.3}
    assert {layer.slope for layer in gan.network("discriminator").layers if isinstance(layer, LeakyRelu)} == {0.2}
    assert {layer.rate for layer in aae.network("encoder").layers if isinstance(layer, Dropout)} == {0.25}
    assert {layer.rate for layer in aae.network("discriminator").layers if isinstance(layer, Dropout)} == {0.2}
    assert aae.network("decoder").layers[-2:] == (Dropout(0.25), Dense("fc2", 1000, 784))  # no ReLU between
    (prior,) = aae.sampling_noise
    assert prior.distribution == Normal(0, 5)


def test_hyperparameters_of_the_series_that_article_aae_announces():
    style, few, clusters = (specs.get(name) for name in ("aae_style", "aae_few_labels", "aae_clusters"))
    coder = ("encoder", "category", "style")
    moved = {
        "reconstruction": (*coder, "decoder"),
        "discriminator": ("discriminator", "category_discriminator"),
        "generator": coder,
        "supervised": ("encoder", "category"),
    }
    assert {update.name: update.networks for update in few.updates} == moved
    assert {update.name: update.networks for update in clusters.updates} == dict(list(moved.items())[:3])
    assert [update.optimizer.learning_rate for update in few.updates] == [6e-4, 8e-4, 8e-4, 1e-3]
    assert [update.optimizer.learning_rate for update in clusters.updates] == [6e-4, 8e-4, 8e-4]
    assert [update.optimizer.learning_rate for update in style.updates] == [1e-4, 5e-5, 5e-5]
    assert [(noise.shape, noise.distribution) for noise in style.sampling_noise] == [
        ((10,), OneHot()),
        ((2,), Normal(0, 5)),
    ]
    for spec, categories in ((few, 10), (clusters, 16), (specs.get("aae_clusters_30"), 30)):
        assert [(noise.shape, noise.distribution) for noise in spec.sampling_noise] == [
            ((categories,), OneHot()),
            ((10,), Normal(0, 1)),
        ]
    rates = {"encoder": [0.25, 0.25], "decoder": [0.25, 0.25], "discriminator": [0.2, 0.2]}
    rates["category_discriminator"] = [0.2]
    for name, expected in rates.items():
        assert [layer.rate for layer in few.network(name).layers if isinstance(layer, Dropout)] == expected
    assert few.network("decoder").layers[-2:] == (Dropout(0.25), Dense("fc2", 1000, 784))  # no ReLU between
    assert style.network("decoder").layers[-2:] == (Dropout(0.2), Dense("fc2", 1000, 784))
    assert (few.training.batch_size, few.training.labelled, clusters.training.labelled) == (100, 1000, None)
    assert [one.name for one in few.inputs] == ["images", "labelled_images", "labels"]
    assert [one.rows for one in few.inputs] == ["all", "labelled", "labelled"]
    assert [one.name for one in clusters.inputs] == ["images"]


def test_a_twin_is_the_same_but_for_its_width(spec):
    if spec.training.twin:
        sizes = {name: spec.options[name] for name in ("width", "latent", "hidden") if name in spec.options}
        assert spec.training.twin.options | sizes == spec.options
        assert spec.training.twin.parameter_count() < spec.parameter_count() / 10
        for name in ("module", "inputs", "forward", "encode", "reconstruct", "sample"):
            assert getattr(spec.training.twin, name) == getattr(spec, name)
        assert [(u.name, u.networks, u.optimizer, u.losses) for u in spec.training.twin.updates] == [
            (u.name, u.networks, u.optimizer, u.losses) for u in spec.updates
        ]


def test_hyperparameters_of_infogan():
    spec = specs.get("infogan")
    assert [(update.name, update.networks) for update in spec.updates] == [
        ("discriminator", ("trunk", "discriminator", "recognition")),
        ("generator", ("generator",)),
    ]
    assert [update.optimizer.learning_rate for update in spec.updates] == [2e-4, 1e-3]
    assert {(update.optimizer.beta1, update.optimizer.beta2, update.optimizer.epsilon) for update in spec.updates} == {
        (0.5, 0.999, 1e-8)
    }
    assert (spec.training.batch_size, spec.training.steps, spec.images.pixels, spec.initial) == (
        128,
        5000,
        (0, 1),
        FixedNormal(0.02),
    )
    assert {layer.slope for layer in spec.network("trunk").layers if isinstance(layer, LeakyRelu)} == {0.1}
    norms = [layer for layer in spec.layers().values() if isinstance(layer, BatchNorm)]
    assert {(norm.epsilon, norm.momentum) for norm in norms} == {(1e-5, 0.9)}
    assert len(norms) == 6
    for noises in (*(update.noise for update in spec.updates), spec.sampling_noise):
        assert [(noise.shape, noise.distribution) for noise in noises] == [
            ((62,), Uniform(-1, 1)),
            ((10,), OneHot()),
            ((2,), Uniform(-1, 1)),
        ]


def test_the_shapes_of_infogan():
    spec = specs.get("infogan")
    images = [shape for layer, shape in spec.network("generator").rows() if isinstance(layer, ConvTranspose)]
    assert images == [(64, 14, 14), (1, 28, 28)]
    features = [shape for layer, shape in spec.network("trunk").rows() if isinstance(layer, (Conv, Reshape, Dense))]
    assert features == [(64, 14, 14), (128, 7, 7), (6272,), (1024,)]


def test_what_stands_before_a_batch_norm_has_no_bias(spec):
    for network in spec.networks:
        for layer, following in itertools.pairwise(one for one in network.layers if not isinstance(one, Reshape)):
            if isinstance(layer, (Dense, Conv, ConvTranspose)):
                assert layer.bias != isinstance(following, BatchNorm)


def test_hyperparameters_of_infogan_on_other_data():
    """Arxiv 1606.03657, appendix C.2 to C.5: rates of D and G, the weights of categories and of continuous codes, the latent."""
    given = {
        "infogan_svhn": ((2e-4, 1e-3), (1, 1), (124, 4, 10, 4), 168),
        "infogan_celeba": ((2e-4, 1e-3), (1, 1), (128, 10, 10, 0), 228),
        "infogan_faces": ((2e-4, 5e-4), (1, 0.2), (128, 0, 0, 5), 133),
        "infogan_faces_elevation": ((4e-4, 3e-4), (1, 0.1), (128, 0, 0, 5), 133),
        "infogan_faces_lighting": ((8e-4, 3e-4), (1, 0.1), (128, 0, 0, 5), 133),
        "infogan_chairs": ((2e-4, 1e-3), (1, 10), (128, 3, 20, 1), 189),
        "infogan_chairs_width": ((2e-4, 1e-3), (2, 0.05), (128, 3, 20, 1), 189),
    }
    for name, (rates, weights, latent, size) in given.items():
        spec = specs.get(name)
        assert tuple(update.optimizer.learning_rate for update in spec.updates) == rates
        assert (spec.options["category_weight"], spec.options["codes_weight"]) == weights
        assert tuple(spec.options[part] for part in ("z", "categories", "classes", "codes")) == latent
        assert spec.network("generator").input_shape == (size,)
        assert sum(math.prod(noise.shape) for noise in spec.sampling_noise) == size
        assert {(update.optimizer.beta1, update.optimizer.beta2) for update in spec.updates} == {(0.5, 0.999)}
        assert spec.slope == 0.1


def test_the_shapes_of_infogan_on_other_data():
    shapes = {
        "infogan_svhn": [(256, 4, 4), (128, 8, 8), (64, 16, 16), (3, 32, 32)],
        "infogan_faces": [(64, 16, 16), (1, 32, 32)],
        "infogan_chairs": [(256, 8, 8), (256, 8, 8), (128, 16, 16), (64, 32, 32), (1, 64, 64)],
    }
    for name, expected in shapes.items():
        rows = specs.get(name).network("generator").rows()
        assert [shape for layer, shape in rows if isinstance(layer, ConvTranspose)] == expected
        *_, (_, features) = specs.get(name).network("trunk").rows()
        assert features == {"infogan_svhn": (4096,)}.get(name, (1024,))


def test_hyperparameters_of_vae_gan():
    """Arxiv 1512.09300, table 1 and section 4: RMSProp at 3e-4, batches of 64; Dis_l is the third strided convolution."""
    for name, side, strided in (("vae_gan", (256, 8, 8), 3), ("vae_gan_mnist", (64, 7, 7), 2)):
        spec = specs.get(name)
        assert [(update.name, update.networks) for update in spec.updates] == [
            ("encoder", ("encoder",)),
            ("decoder", ("decoder",)),
            ("discriminator", ("features", "discriminator")),
        ]
        assert {update.optimizer for update in spec.updates} == {RMSProp(learning_rate=3e-4, decay=0.9, epsilon=1e-8)}
        assert spec.simultaneous and not spec.accumulates
        assert (spec.training.batch_size, spec.images.pixels, spec.options["gamma"]) == (64, (-1, 1), 1e-5)
        *_, (last, shape) = spec.network("features").rows()
        assert isinstance(last, Conv) and shape == side
        assert (
            sum(isinstance(layer, Conv) and layer.stride == 2 for layer in spec.network("features").layers) == strided
        )
        ups = [shape for layer, shape in spec.network("decoder").rows() if isinstance(layer, ConvTranspose)]
        assert ups[-1][1:] == spec.images.picture[1:]


def test_calmed_changes_the_rates_alone():
    spec = specs.get("infogan")
    calm = spec.calmed()
    assert [update.optimizer.learning_rate for update in calm.updates] == pytest.approx([6e-6, 3e-5])
    restored = calm.calmed(1 / spec.training.parity_rate)
    assert [u.optimizer.learning_rate for u in restored.updates] == pytest.approx([2e-4, 1e-3])
    assert dataclasses.replace(calm, updates=spec.updates, training=spec.training) == spec
    assert dataclasses.replace(calm.training, parity_rate=0.03, twin=spec.training.twin) == spec.training
    assert calm.training.twin == spec.training.twin.calmed()
    assert specs.get("vae").calmed() == specs.get("vae")


def test_masks_fit_their_networks():
    """A mask per dropout layer, as wide as what it masks, with the layer's keep rate; every pass has masks of its own."""
    passes = {
        "gan": {"real": "discriminator", "fake": "discriminator", "fooled": "discriminator"},
        "aae": {
            "encoder": "encoder",
            "decoder": "decoder",
            "real": "discriminator",
            "fake": "discriminator",
            "generator": "encoder",
            "fooled": "discriminator",
        },
    }
    passes["aae_style"] = passes["aae"]
    passes["aae_clusters"] = passes["aae"] | {
        f"{which}_category": "category_discriminator" for which in ("real", "fake", "fooled")
    }
    passes["aae_few_labels"] = passes["aae_clusters"] | {"supervised": "encoder"}
    for model, networks in passes.items():
        spec = specs.get(model)
        expected = {
            f"{which}_mask{k}": (shape, Bernoulli(1 - layer.rate))
            for which, name in networks.items()
            for k, (layer, shape) in enumerate(row for row in spec.network(name).rows() if isinstance(row[0], Dropout))
        }
        found = {n.name: (n.shape, n.distribution) for n in spec.noise if isinstance(n.distribution, Bernoulli)}
        assert found == expected


def test_noise_names_are_unique(spec):
    names = [noise.name for noise in spec.noise]
    assert len(names) == len(set(names))


def test_what_two_updates_name_is_drawn_once():
    two_layer, gan = specs.get("gan_two_layer"), specs.get("gan")
    assert [update.noise for update in two_layer.updates] == [two_layer.noise] * 2 == [two_layer.sampling_noise] * 2
    assert not set(gan.updates[0].noise) & set(gan.updates[1].noise)


def test_scale_maps_bytes_to_the_range(spec):
    assert spec.images.scale(np.array([0.0, 255.0])) == pytest.approx(spec.images.pixels, abs=0)


def test_fingerprint_changes_with_anything_that_matters():
    vae = specs.get("vae")

    def other_losses(networks, inputs, noise):
        return vae.updates[0].losses(networks, inputs, noise)

    update = vae.updates[0]
    variants = [
        dataclasses.replace(vae, reduction="mean"),
        dataclasses.replace(vae, inputs=(dataclasses.replace(vae.images, pixels=(-1.0, 1.0)),)),
        dataclasses.replace(vae, options={"hidden": 401, "latent": 20}),
        dataclasses.replace(vae, updates=(dataclasses.replace(update, networks=("decoder",)),)),
        dataclasses.replace(vae, updates=(dataclasses.replace(update, losses=other_losses),)),
        dataclasses.replace(vae, forward=specs.get("autoencoder").forward),
    ]
    prints = {spec.fingerprint() for spec in [vae, *specs.SPECS.values(), *variants]}
    assert len(prints) == len(specs.SPECS) + len(variants)


MATHEMATICS = """
SCALE = 2.0

def twice(x):
    return SCALE * x

def losses(networks, inputs, noise):
    return {"loss": twice(inputs["images"])}
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("twice(inputs", "-twice(inputs", False),
        ("SCALE * x", "SCALE + x", False),
        ("SCALE = 2.0", "SCALE = 3.0", False),
        ("    return SCALE", '    """Two times."""\n    # a comment\n    return  SCALE', True),
    ],
)
def test_fingerprint_covers_the_mathematics_and_no_prose(tmp_path, monkeypatch, old, new, same):
    """Another loss under the same name, in what it calls or in a number that it reads, is another model."""
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for name, text in (("before", MATHEMATICS), ("after", MATHEMATICS.replace(old, new))):
        (tmp_path / f"{name}.py").write_text(text)
        module = importlib.import_module(name)
        for function in (module.losses, module.twice):
            function.__module__ = "common.specs.somewhere"
        update = dataclasses.replace(specs.get("vae").updates[0], losses=module.losses)
        found.append(dataclasses.replace(specs.get("vae"), updates=(update,)).fingerprint())
        del sys.modules[name]
    assert (found[0] == found[1]) is same


def test_fingerprint_is_of_what_runs_and_not_of_a_file_edited_since(tmp_path, monkeypatch):
    """Else a checkpoint saved after a `git pull` would be of no model."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "running.py").write_text(MATHEMATICS)
    losses = importlib.import_module("running").losses
    monkeypatch.delitem(sys.modules, "running")
    update = dataclasses.replace(specs.get("vae").updates[0], losses=losses)
    spec = dataclasses.replace(specs.get("vae"), updates=(update,))
    before = spec.fingerprint()
    (tmp_path / "running.py").write_text("# edited\n" * 50 + MATHEMATICS)
    assert spec.fingerprint() == before


def test_fingerprint_leaves_out_training_and_prose():
    vae = specs.get("vae")
    about = dataclasses.replace(vae.about, title="Another", notes=())
    training = dataclasses.replace(vae.training, epochs=3, batch_size=7)
    assert dataclasses.replace(vae, about=about, training=training).fingerprint() == vae.fingerprint()


Z_OF_TWO = Noise("epsilon", (2,), Normal(0.0, 1.0))  # the name of another draw


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"updates": (dataclasses.replace(s.updates[0], networks=("enkoder",)),)}, "moves 'enkoder'"),
        (lambda s: {"networks": (*s.networks, s.networks[0])}, "network 'encoder' stands twice"),
        (lambda s: {"updates": s.updates * 2}, "update 'train' stands twice"),
        (
            lambda s: {"updates": (s.updates[0], dataclasses.replace(s.updates[0], name="b", noise=(Z_OF_TWO,)))},
            "random draw 'epsilon' stands twice",
        ),
        (
            lambda s: {"updates": (dataclasses.replace(s.updates[0], noise=s.noise * 2),)},
            "random draw of train 'epsilon' stands twice",
        ),
        (lambda s: {"inputs": s.inputs * 2}, "input 'images' stands twice"),
        (lambda s: {"inputs": (dataclasses.replace(s.images, rows="some"),)}, "has rows 'some'"),
        (lambda s: {"inputs": (dataclasses.replace(s.images, picture=(3, 28, 28)),)}, "no picture of"),
        (lambda s: {"reduction": "avg"}, "reduction 'avg'"),
        (lambda s: {"networks": (dataclasses.replace(s.networks[0], input_shape=(9,)), s.networks[1])}, "fc0 takes"),
    ],
)
def test_a_specification_that_cannot_be_is_refused(change, message):
    spec = specs.get("vae")
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(spec, **change(spec))


def test_the_slope_stands_in_one_place():
    assert (specs.get("gan").slope, specs.get("infogan").slope, specs.get("infogan_slope").slope) == (0.2, 0.1, 0.01)
    with pytest.raises(ValueError, match="vae: expected one slope, found"):
        _ = specs.get("vae").slope


def test_the_twin_is_the_same_with_fewer_channels():
    spec, twin = specs.get("infogan"), specs.get("infogan").training.twin
    assert twin.parameter_shapes().keys() == spec.parameter_shapes().keys()
    assert twin.parameter_count() < spec.parameter_count() / 50
    assert [u.losses for u in twin.updates] == [u.losses for u in spec.updates]
    assert {shape[0] for name, shape in twin.parameter_shapes().items() if name == "trunk.conv0.weight"} == {8}


def test_an_unknown_model_names_the_choices():
    with pytest.raises(
        UsageError, match="unknown model 'nope'; choose one of: autoencoder, conv_autoencoder, vae, vae_z100"
    ):
        specs.get("nope")
