"""What every test may count on: one thread, so that tests side by side do not wait for each other."""

import torch

torch.set_num_threads(1)
