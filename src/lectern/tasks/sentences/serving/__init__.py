"""Serve a registered model: its inference API, its request limits and its page tab."""
