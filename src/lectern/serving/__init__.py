"""Serve the champions over HTTP, predict for files of inputs, and export models to ONNX."""
