"""Train a Lightning module so that a killed training resumes and ends with the same weights."""
