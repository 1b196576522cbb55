"""Write JSON Schemas of the config files, from the signatures and types that Lectern checks when a stage starts."""
