"""Predict the next character of a text, and generate new texts one character at a time."""
