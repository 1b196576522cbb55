"""Compute which pixels of a frame influence the predicted angle."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lectern.tasks.steering.model.module import SteeringModel
from lectern.tasks.steering.model.scaling import scale

SAMPLES = 12  # number of noisy copies of the frame whose gradients are averaged
NOISE = 0.1  # standard deviation of the noise; pixels have values from -1 to 1
BLUR = 7  # side length of the smoothing square in pixels


def compute_saliency(module: SteeringModel, window: np.ndarray) -> np.ndarray:
    """Return the saliency (height, width), from 0 to 1, of the last frame of a window.

    `window` contains prepared frames, uint8 (time, height, width, 3). The saliency is the absolute gradient of the
    angle, averaged over noisy copies of the frame (SmoothGrad, Smilkov et al. 2017, arXiv:1706.03825).
    """
    scaled = scale(torch.from_numpy(np.ascontiguousarray(window))[:, None].to(module.device))
    *earlier, last = scaled.unbind()
    state = None
    with torch.no_grad():
        for frame in earlier:  # (1, 3, height, width)
            _, state = module.network.step(frame, state)
    noise = torch.Generator().manual_seed(0)
    total: Tensor = torch.zeros(last.shape[-2:], device=last.device)
    for _ in range(SAMPLES):
        noisy = (last + NOISE * torch.randn(last.shape, generator=noise).to(last.device)).requires_grad_()
        outputs, _ = module.network.step(noisy, state)
        (gradient,) = torch.autograd.grad(outputs[0, 0], noisy)
        total += gradient[0].abs().sum(0)
    smooth = F.avg_pool2d(total[None, None], BLUR, 1, BLUR // 2, count_include_pad=False)[0, 0]
    return (smooth / smooth.max().clamp(min=1e-12)).cpu().numpy()
