"""Define the format of the prepared dataset for the stages that write or read the dataset."""
