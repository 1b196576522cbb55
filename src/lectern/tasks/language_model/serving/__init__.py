"""How a registered model is called: its signature, its requests and its page."""
