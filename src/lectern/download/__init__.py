"""Download the raw files of an origin and verify them."""
