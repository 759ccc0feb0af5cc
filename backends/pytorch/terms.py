"""Loss terms that several model files share."""

from backends.pytorch import process  # noqa: F401  # isort: skip

import torch
from torch.nn import functional as F


def bce(logits, target):
    """Mean binary cross-entropy of (B, 1) logits against one target, 0 or 1."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
