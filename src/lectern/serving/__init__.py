"""Serve the champions over HTTP, predict from files and export models to ONNX."""
