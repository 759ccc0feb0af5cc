"""The models of aae_few_labels.py: with a few labels in the repository's settings and in the paper's, of the labels alone, and
without labels."""

from dataclasses import replace

from common.specs.aae_few_labels import CLASSES, REPOSITORY, Settings, adam, few_labels
from common.specs.records import About, Momentum, Steps

SOURCE = "arXiv 1511.05644, section {}; sizes of fducau/AAE_pytorch, aae_semisupervised.py"
NOTES = (
    "The article announces this model and leaves it to part 4 of its series; sizes and rates are those of the repository "
    "that the series follows, but the style, which has 2 dimensions there, has 10 as in the paper.",
    "The repository adds EPS = 1e-15 to both sides of the reconstruction BCE to keep its logarithms finite; on logits it needs "
    "none.",
    "The repository's optimisers of the reconstruction update (encoder, decoder) are one Adam over both, and so are those of the "
    "two discriminators: it acts element by element.",
    "Initial values are PyTorch's defaults, the repository's framework.",
)

AAE_FEW_LABELS = few_labels(
    "aae_few_labels",
    categories=CLASSES,
    labelled=1000,
    about=About(
        title="Adversarial autoencoder, classes from a few labels",
        article="aae",
        source=SOURCE.format(5),
        notes=(
            *NOTES,
            "Erratum: the repository takes the cross-entropy of probabilities as if they were logits, a softmax of a softmax; "
            "here it is that of the logits.",
            "Erratum: the repository's epochs end with the labelled batches, 30 of them, since izip ends with the shorter; here "
            "an epoch is all training images, and the labelled ones come round again; it trains for as many steps, 15,000.",
        ),
    ),
)

# After 50 epochs and after 1,000, of 600 batches.
FALL = Steps(at=(50 * 600, 1000 * 600), factors=(0.1, 0.1))

AAE_FEW_LABELS_PAPER = few_labels(
    "aae_few_labels_paper",
    categories=CLASSES,
    labelled=1000,
    settings=Settings(
        dropout=False,
        input_noise=0.3,
        optimizers={
            "reconstruction": Momentum(learning_rate=1.0, momentum=0.9, steps=FALL),
            "discriminator": Momentum(learning_rate=0.1, momentum=0.1, steps=FALL),
            "generator": Momentum(learning_rate=0.1, momentum=0.1, steps=FALL),
            "supervised": Momentum(learning_rate=0.1, momentum=0.9, steps=FALL),
        },
    ),
    about=About(
        title="Adversarial autoencoder, classes from a few labels, with the paper's settings",
        article="aae",
        source="arXiv 1511.05644, section 5 and appendix A",
        notes=(
            NOTES[0],
            "From memory of the paper's appendix A, and not checked: no dropout; noise N(0, 0.3²) on the encoder's images, in training; "
            "gradient descent with momentum, 0.9 for reconstruction and labels and 0.1 for the adversarial updates; rates that "
            "fall to a tenth after 50 epochs, and again after 1,000; batches of 100. ReLU stands after every hidden layer there, and "
            "here after all but the decoder's second, as in the repository.",
            "The paper's cost of reconstruction is the Euclidean distance of whole images, at a rate of 0.01 (from memory). Here it is the "
            "mean BCE of pixels: 784 times that rate diverges within 200 updates on MNIST, that rate itself brings 0.694 to 0.690 in "
            "150 on the bundled digits; 1 learns.",
            "Initial values are PyTorch's defaults. From the paper's N(0, 0.01²) (from memory) both discriminators say 1/2 of everything, and "
            "the gradient of their last biases nearly cancels: rounding alone may move it by 1e-10, so that no comparison would hold it.",
        ),
    ),
)

# What the labels alone teach the same encoder.
AAE_FEW_LABELS_SUPERVISED = few_labels(
    "aae_few_labels_supervised",
    categories=CLASSES,
    labelled=1000,
    settings=replace(
        REPOSITORY,
        optimizers={name: adam(0.0) for name in REPOSITORY.optimizers}
        | {"supervised": REPOSITORY.optimizers["supervised"]},
    ),
    steps=3_000,
    about=replace(
        AAE_FEW_LABELS.about,
        title="A classifier from a few labels: of aae_few_labels the supervised update alone",
        notes=(
            *AAE_FEW_LABELS.about.notes,
            "For comparison: the rates of the other three updates are 0; 3,000 steps, 300 epochs of 1,000 labels.",
        ),
    ),
)

AAE_CLUSTERS = few_labels(
    "aae_clusters",
    categories=16,
    labelled=None,
    about=About(
        title="Adversarial autoencoder, clusters without labels",
        article="aae",
        source=SOURCE.format(6),
        notes=(*NOTES, "16 clusters; the paper has 30 as well."),
    ),
)

AAE_CLUSTERS_30 = few_labels(
    "aae_clusters_30",
    categories=30,
    labelled=None,
    about=replace(AAE_CLUSTERS.about, title="Adversarial autoencoder, 30 clusters without labels"),
)
