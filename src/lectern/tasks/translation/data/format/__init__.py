"""Define the format of the prepared dataset, which several stages read or write."""
