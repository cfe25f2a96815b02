"""Other people's training loops, written out: what their scripts do per step, on our U-Net.

``edm`` follows the loop of NVlabs/edm (training_loop.py, EDMLoss, EDMPrecond): noise levels and
noise drawn on the device, gradients made finite, Adam, the average of weights one by one.
``diffusers`` follows its example train_unconditional.py with EMA: discrete linear betas, mean
squared error of the noise, clipping, AdamW, a cosine schedule with warm-up, EMAModel's update, the
loss fetched every step for the progress bar. ``azula`` is its denoising loss (DenoiserLoss of an
EDMDenoiser under a variance-preserving schedule) in a plain loop, without averages, clipping or
schedule. ``bare`` is no training at all: forward, backward and
a fused AdamW on one batch that never changes, the most that any loop could reach.

All get the same network and autocast, and data that lie on the device already, which favours them:
ours takes rows and draws noise on the CPU, and moves both.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

Autocast = Callable[[], torch.autocast]
Step = Callable[[], None]


def batches(data: Tensor, size: int, device: str) -> Iterator[Tensor]:
    """Endless random batches of data that lie on the device already."""
    data = data.to(device)
    while True:
        yield data[torch.randint(len(data), (size,), device=device)]


def edm(network: nn.Module, average: nn.Module, data: Iterator[Tensor], cast: Autocast) -> Step:
    """NVlabs/edm: sigma_data 0.5, P_mean -1.2, P_std 1.2."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    count = 0

    def step() -> None:
        nonlocal count
        optimizer.zero_grad(set_to_none=True)
        x = next(data)
        sigma = (torch.randn(len(x), 1, 1, 1, device=x.device) * 1.2 - 1.2).exp()
        weight = (sigma**2 + 0.25) / (sigma * 0.5) ** 2
        noisy = x + torch.randn_like(x) * sigma
        total = sigma**2 + 0.25
        with cast():
            out = network(noisy / total.sqrt(), sigma.flatten().log() / 4)
        denoised = 0.25 / total * noisy + sigma * 0.5 / total.sqrt() * out.float()
        loss = (weight * (denoised - x) ** 2).sum() / len(x)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min((count + 1) / 100, 1)
        for parameter in network.parameters():
            if parameter.grad is not None:
                torch.nan_to_num(
                    parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad
                )
        optimizer.step()
        with torch.no_grad():
            for kept, fresh in zip(average.parameters(), network.parameters(), strict=True):
                kept.copy_(fresh.detach().lerp(kept, 0.999))
        count += 1

    return step


def diffusers(
    network: nn.Module, average: nn.Module, data: Iterator[Tensor], cast: Autocast
) -> Step:
    """huggingface/diffusers, examples/unconditional_image_generation: 1000 steps, epsilon."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.95, 0.999),
                                  weight_decay=1e-6, eps=1e-8)  # fmt: skip
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min((k + 1) / 500, 0.5 * (1 + math.cos(math.pi * k / 1e6)))
    )
    kept = torch.linspace(1e-4, 0.02, 1000).neg().add(1).cumprod(0)

    def step() -> None:
        x = next(data)
        noise = torch.randn_like(x)
        when = torch.randint(0, 1000, (len(x),), device=x.device).long()
        alphas = kept.to(x.device)[when].reshape(-1, 1, 1, 1)
        noisy = alphas.sqrt() * x + (1 - alphas).sqrt() * noise
        with cast():
            out = network(noisy, when.float())
        loss = functional.mse_loss(out.float(), noise.float())
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for shadow, fresh in zip(average.parameters(), network.parameters(), strict=True):
                shadow.sub_(1e-4 * (shadow - fresh))
        loss.detach().item()

    return step


def azula(network: nn.Module, average: nn.Module, data: Iterator[Tensor], cast: Autocast) -> Step:
    """probabilists/azula: t uniform, alpha = exp(t^2 log .001), weight 1 + (alpha / sigma)^2."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> None:
        x = next(data)
        t = torch.rand(len(x), 1, 1, 1, device=x.device)
        alpha = (t**2 * math.log(1e-3)).exp()
        sigma = (1 - alpha**2 + 1e-6).sqrt()
        noisy, total = alpha * x + sigma * torch.randn_like(x), alpha**2 + sigma**2
        with cast():
            out = network(noisy / total.sqrt(), (sigma / alpha).log().flatten())
        denoised = alpha / total * noisy + sigma / total.sqrt() * out.float()
        loss = (((alpha / sigma) ** 2 + 1) * (denoised - x).square()).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def bare(network: nn.Module, average: nn.Module, data: Iterator[Tensor], cast: Autocast) -> Step:
    """Forward, backward, a fused AdamW; nothing is drawn, moved, averaged or looked at."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    x = next(data)
    level = torch.linspace(-1, 1, len(x), device=x.device)

    def step() -> None:
        optimizer.zero_grad()
        with cast():
            out = network(x, level)
        functional.mse_loss(out.float(), x).backward()
        optimizer.step()

    return step


LOOPS = {"edm": edm, "diffusers": diffusers, "azula": azula, "bare": bare}
