"""Define the format of the prepared dataset for the stages that write and read it."""
