"""Search for better hyperparameters of a model with Optuna."""
