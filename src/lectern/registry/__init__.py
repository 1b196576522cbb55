"""Register, compare and promote model versions."""
