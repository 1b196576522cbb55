"""Classify sentences (many-to-one), for example by sentiment or by type of question."""
