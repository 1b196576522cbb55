"""Predict the steering angle from the frames of a car's camera."""
