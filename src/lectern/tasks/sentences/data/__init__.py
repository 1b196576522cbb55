"""Prepare labelled sentences for training (the preprocess stage)."""
