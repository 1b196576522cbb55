"""Classify images of 28x28 pixels by the digit that they show."""
