"""What answers: the function that a registered version carries, and the server over the champions."""
