"""Digits: images of 28x28 to the digit that is drawn."""
