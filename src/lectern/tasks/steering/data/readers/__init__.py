"""Read raw recordings: one module per format, and modules for images, videos and tables."""
