"""Translate sentences from one language to another."""
