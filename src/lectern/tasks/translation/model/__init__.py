"""Define and train the networks (the train stage)."""
