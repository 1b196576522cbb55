"""Features and the words that they should tell, to a loss, without the logits of a whole batch at any time."""

import torch
from torch import Tensor
from torch.nn import functional as F


class ChunkedCrossEntropy(torch.autograd.Function):
    """Features (N, width), embedding (V, width) and words (N,) to the mean loss, smoothed and plain.

    Takes a few hundred words at a time, and their gradient with them, while the logits are in the cache: all of a
    batch (2,000 words of 10,000 pieces, 80 MB) would be written and read five times.
    """

    ROWS = 256

    @staticmethod
    def forward(ctx, features: Tensor, embedding: Tensor, words: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        to_features, to_embedding = torch.empty_like(features), torch.zeros_like(embedding)
        plain = smoothed = features.new_zeros((), dtype=torch.float32)
        count = len(words)
        for start in range(0, count, ChunkedCrossEntropy.ROWS):
            part = slice(start, start + ChunkedCrossEntropy.ROWS)
            logits, right = F.linear(features[part], embedding).float(), words[part, None]
            total = logits.logsumexp(1, keepdim=True)
            surprise = total - logits.gather(1, right)
            plain = plain + surprise.sum() / count
            smoothed = smoothed + smoothing * (total - logits.mean(1, keepdim=True)).sum() / count
            gradient = logits.sub_(total).exp_().sub_(smoothing / len(embedding))
            gradient.scatter_add_(1, right, torch.full_like(surprise, smoothing - 1))
            gradient.div_(count)
            to_features[part] = gradient @ embedding
            to_embedding.addmm_(gradient.T, features[part].float())
        ctx.save_for_backward(to_features, to_embedding)
        ctx.mark_non_differentiable(plain)
        return (1 - smoothing) * plain + smoothed, plain

    @staticmethod
    def backward(ctx, by_loss: Tensor, _: Tensor):
        to_features, to_embedding = ctx.saved_tensors
        return by_loss * to_features, by_loss * to_embedding, None, None
