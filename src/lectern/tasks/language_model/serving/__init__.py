"""Define the signature, the requests and the web page of a registered model."""
