"""Train a Lightning module so that a killed run resumes to the same weights."""
