"""Train a Lightning module. A killed training resumes and ends with the weights of an uninterrupted training."""
