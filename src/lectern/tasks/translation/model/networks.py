"""List the networks that a model's config can select."""

from lectern.tasks.translation.model.recurrent import Seq2Seq
from lectern.tasks.translation.model.transformer import Transformer

__all__ = ["Seq2Seq", "Transformer"]
