"""Define the format of the prepared dataset, which several stages write or read."""
