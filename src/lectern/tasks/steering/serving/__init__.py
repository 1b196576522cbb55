"""Define the inference API, the requests and the web page of a registered model."""
