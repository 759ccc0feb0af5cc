"""Terms that several model files share: of losses, and dropout."""

from backends.pytorch import process  # noqa: F401  # isort: skip

import torch
from torch.nn import functional as F


def bce(logits, target):
    """Mean binary cross-entropy of (B, 1) logits against one target, 0 or 1."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def dropout(h, mask, keep):
    """Of h (B, features) what the mask, 1 where a unit is kept, leaves, with the probability `keep`; all of it without a mask."""
    return h if mask is None else h * mask / keep
