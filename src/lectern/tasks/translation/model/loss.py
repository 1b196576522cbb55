"""Compute the cross-entropy over a large vocabulary without storing the logits of a complete batch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class ChunkedCrossEntropy(torch.autograd.Function):
    """Cross-entropy that computes loss and gradient in chunks of a few hundred tokens.

    The logits of a chunk fit into the cache of the processor. The logits of a complete batch have 80 MB (2,000 tokens,
    vocabulary of 10,000). Without chunks, these logits would be written to memory and read from it five times.
    """

    CHUNK_SIZE = 256

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, embedding: Tensor, targets: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Return the mean loss with label smoothing, and the mean loss without it.

        The shapes are features (tokens, size), embedding (vocabulary, size) and targets (tokens,).
        """
        feature_gradient, embedding_gradient = torch.empty_like(features), torch.zeros_like(embedding)
        plain = uniform = features.new_zeros((), dtype=torch.float32)
        count = len(targets)
        for start in range(0, count, ChunkedCrossEntropy.CHUNK_SIZE):
            chunk = slice(start, start + ChunkedCrossEntropy.CHUNK_SIZE)
            logits, chunk_targets = F.linear(features[chunk], embedding).float(), targets[chunk, None]
            normalizer = logits.logsumexp(1, keepdim=True)
            losses = normalizer - logits.gather(1, chunk_targets)
            plain = plain + losses.sum() / count
            uniform = uniform + smoothing * (normalizer - logits.mean(1, keepdim=True)).sum() / count
            gradient = logits.sub_(normalizer).exp_().sub_(smoothing / len(embedding))
            gradient.scatter_add_(1, chunk_targets, torch.full_like(losses, smoothing - 1))
            gradient.div_(count)
            feature_gradient[chunk] = gradient @ embedding
            embedding_gradient.addmm_(gradient.T, features[chunk].float())
        ctx.save_for_backward(feature_gradient, embedding_gradient)
        ctx.mark_non_differentiable(plain)
        return (1 - smoothing) * plain + uniform, plain

    @staticmethod
    def backward(ctx: Any, loss_gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        feature_gradient, embedding_gradient = ctx.saved_tensors
        return loss_gradient * feature_gradient, loss_gradient * embedding_gradient, None, None


chunked_cross_entropy: Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]] = ChunkedCrossEntropy.apply
