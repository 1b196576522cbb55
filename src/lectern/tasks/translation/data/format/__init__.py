"""The format of the prepared dataset, shared by the stages that write and read it."""
