"""A trained network and a window of frames to where it looks: the pixels that would change its angle."""

import numpy as np
import torch
from torch.nn import functional as F

from lectern.tasks.steering.model.scaling import scale

DRAWS, NOISE, BLUR = 12, 0.1, 7  # looks that are averaged, their noise, and the side of the square that is smoothed


def where_it_looks(module, window: np.ndarray) -> np.ndarray:
    """Prepared frames uint8 (time, height, width, 3) to float32 (height, width), 0 to 1, of the last frame.

    The gradient of the angle, averaged over noisy copies (Smilkov et al. 2017, SmoothGrad, arXiv:1706.03825).
    """
    *before, last = scale(torch.from_numpy(np.ascontiguousarray(window))[:, None].to(module.device)).unbind()
    state = None
    with torch.no_grad():
        for frame in before:  # (1, 3, height, width)
            _, state = module.network.step(frame, state)
    noise = torch.Generator().manual_seed(0)
    total = torch.zeros(last.shape[-2:], device=last.device)
    for _ in range(DRAWS):
        noisy = (last + NOISE * torch.randn(last.shape, generator=noise).to(last.device)).requires_grad_()
        outputs, _ = module.network.step(noisy, state)
        (gradient,) = torch.autograd.grad(outputs[0, 0], noisy)
        total += gradient[0].abs().sum(0)
    smooth = F.avg_pool2d(total[None, None], BLUR, 1, BLUR // 2, count_include_pad=False)[0, 0]
    return (smooth / smooth.max().clamp(min=1e-12)).cpu().numpy()
