"""A search for better values of a model's config: space.py what may vary, search.py the trials, winner.py the end."""
