"""Terms that several model files share: of losses, and dropout."""

from backends.paddle import process  # noqa: F401  # isort: skip

import paddle
from paddle.nn import functional as F

from backends.paddle.exact import number


def cross_entropy(logits, targets):
    """Binary cross-entropy of each logit against its target in [0, 1].

    Not F.binary_cross_entropy_with_logits, whose gradient at a logit of exactly 0 is -1/2 - x instead of 1/2 - x. From the
    threshold on softplus returns the logit itself: at Paddle's default of 20 still 2e-9 off, at 40 exact.
    """
    return F.softplus(logits, beta=1, threshold=40) - targets * logits


def bce(logits, target):
    """Mean binary cross-entropy of (B, 1) logits against one target, 0 or 1."""
    return paddle.mean(cross_entropy(logits, target))


def dropout(h, mask, keep):
    """Of h (B, features) what the mask, 1 where a unit is kept, leaves, with the probability `keep`; all of it without a mask."""
    return h if mask is None else h * mask / number(keep)
