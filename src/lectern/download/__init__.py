"""Download or generate the raw files of an origin, and verify the files."""
