"""Digits: classify images of 28x28 pixels by the digit they show."""
