"""Define the networks, the Lightning module and the data loader (the train stage)."""
