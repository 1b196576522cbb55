"""Serve a registered model: its signature, its request limits and its page tab."""
