"""Steering: frames from a car's camera to the angle of its wheel."""
