"""What answers: the function that a registered version carries."""
