"""The networks that a config can name: each reads a sentence and writes another.

All offer the same: `forward(source, words, teacher_forcing)` gives the features from which each next word is told;
`start(source)` and `step(memory, state, words)` give the same a word at a time, from a state that holds what has been
computed; `attention(source, words)` says where the decoder looked; `logits` turns features into words; `feeds_itself`
says whether it can be fed its own words in training.
"""

from lectern.tasks.translation.model.recurrent import Seq2Seq
from lectern.tasks.translation.model.transformer import Transformer

__all__ = ["Seq2Seq", "Transformer"]
