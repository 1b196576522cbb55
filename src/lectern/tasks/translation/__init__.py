"""Translation: a sentence of one language to the same in another."""
