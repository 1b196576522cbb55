"""Write the config files of a new origin and a new dataset from the files of the user."""
