"""Language model: a text, character by character, to the next character, and so to texts that nobody wrote."""
