"""Networks of PyTorch's, small, that are exported and read back. Importing this needs torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 3


def images(*shape: int) -> Callable[[Any], Tensor]:
    """An input of floats with a batch in front."""
    return lambda dtype: torch.randn(BATCH, *shape, dtype=dtype)


def labels(classes: int, *shape: int) -> Callable[[Any], Tensor]:
    """An input of ints below a number."""
    return lambda dtype: torch.randint(classes, (BATCH, *shape))


def states(count: int, *shape: int) -> Callable[[Any], Tensor]:
    """An input of floats with a batch as its second axis."""
    return lambda dtype: torch.randn(count, BATCH, *shape, dtype=dtype)


@dataclass(frozen=True)
class Example:
    """A network and its inputs.

    batches   the axis of the batch in each input; None for one without
    training  whether it is exported in training mode
    draws     shapes of what it draws from the normal distribution itself, unless that is given as
              further inputs
    """

    module: Callable[[], nn.Module]
    inputs: tuple[Callable[[Any], Tensor], ...]
    batches: tuple[int | None, ...] = (0,)
    training: bool = False
    draws: tuple[tuple[int, ...], ...] = ()


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 5), nn.Tanh(), nn.LayerNorm(5), nn.GELU(),
        nn.Linear(5, 3), nn.LogSoftmax(dim=-1),
    )  # fmt: skip


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.ReLU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 4),
    )  # fmt: skip


class Residual(nn.Module):
    """Two convolutions with batch normalisation beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)
        self.down = nn.Sequential(nn.Conv2d(2, 4, 1, stride=2, bias=False), nn.BatchNorm2d(4))
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.bn1(self.conv1(x)))
        h = functional.relu(self.bn2(self.conv2(h)) + self.down(x))
        return self.fc(functional.adaptive_avg_pool2d(h, 1).flatten(1))


class Inverted(nn.Module):
    """A block of MobileNet V3: expansion, depthwise convolution, squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Sequential(
            nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), nn.Hardswish()
        )
        self.depth = nn.Sequential(
            nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.BatchNorm2d(6), nn.ReLU6()
        )
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(6, 2, 1), nn.ReLU(), nn.Conv2d(2, 6, 1),
            nn.Hardsigmoid(),
        )  # fmt: skip
        self.project = nn.Sequential(nn.Conv2d(6, 3, 1, bias=False), nn.BatchNorm2d(3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.depth(self.expand(x))
        return x + self.project(h * self.squeeze(h))


class UNet(nn.Module):
    """Down, up by a transposed convolution and by interpolation, and across."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(1, 2, 3, padding=1)
        self.down = nn.Conv2d(2, 4, 3, padding=1)
        self.deep = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 2, 2, stride=2)
        self.leave = nn.Conv2d(6, 2, 3, padding=1)
        self.norm = nn.GroupNorm(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        first = functional.leaky_relu(self.enter(x))
        second = functional.elu(self.down(functional.max_pool2d(first, 2)))
        third = functional.silu(self.deep(functional.avg_pool2d(second, 2)))
        wide = functional.interpolate(third, scale_factor=2.0, mode="nearest")
        up = self.up(second + wide)
        smooth = functional.interpolate(third, size=(8, 8), mode="bilinear", align_corners=False)
        return self.leave(torch.cat([first * self.norm(up), smooth], 1))


class Recurrent(nn.Module):
    """Two layers in both directions."""

    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__()
        self.layers = kind(3, 4, num_layers=2, bidirectional=True, **options)

    def forward(self, x: Tensor, h: Tensor | None = None, c: Tensor | None = None) -> Any:
        sequence, last = self.layers(x, h if h is None or c is None else (h, c))
        return (sequence, *(last if isinstance(last, tuple) else (last,)))


class Encoder(nn.Module):
    """An encoder of two layers, with a mask of what is padding."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            8, 2, dim_feedforward=12, dropout=0.0, activation="gelu", batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        padding = torch.arange(x.shape[1])[None, :] >= lengths[:, None] + 1
        return self.layers(x, src_key_padding_mask=padding)


class Masked(nn.Module):
    """Attention that a mask of bools limits."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        batch, steps, width = x.shape
        mask = (torch.arange(steps) <= lengths[:, None])[:, None, None]
        parts = self.qkv(x).reshape(batch, steps, 3, 2, -1).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(*parts.unbind(0), attn_mask=mask)
        return x + self.proj(y.transpose(1, 2).reshape(batch, steps, width))


class Decoder(nn.Module):
    """A decoder layer, with a causal mask, beside a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(
            8, 2, dim_feedforward=12, dropout=0.0, batch_first=True
        )

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype)
        return self.layer(x, memory, tgt_mask=mask, tgt_is_causal=True)


class Block(nn.Module):
    """A block of GPT-2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU("tanh"), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, steps, width = x.shape
        parts = self.qkv(self.ln_1(x)).split(width, dim=2)
        q, k, v = (p.view(batch, steps, self.heads, -1).transpose(1, 2) for p in parts)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(batch, steps, width))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """A language model: the loss of the next tokens. The embedding is also the head."""

    def __init__(self, vocabulary: int = 11, width: int = 8, steps: int = 5) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(steps, width)
        self.block = Block(width, 2)
        self.ln = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        logits = functional.linear(self.ln(self.block(x)), self.tokens.weight)
        return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


class ViT(nn.Module):
    """A vision transformer: patches, a class token, places, one block of nn.MultiheadAttention."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.patches = nn.Conv2d(2, width, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 5, width))
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.patches(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.token.expand(h.shape[0], -1, -1), h], 1) + self.places
        own = self.norm(h)
        h = h + self.attention(own, own, own, need_weights=False)[0]
        return self.head(h[:, 0])


class GraphNetwork(nn.Module):
    """Messages along edges, added up at the nodes where they arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.message = nn.Linear(8, 5)
        self.update = nn.Linear(9, 4)

    def forward(self, x: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
        messages = torch.sigmoid(self.message(torch.cat([x[sources], x[targets]], 1)))
        zeros = torch.zeros(x.shape[0], 5, dtype=x.dtype)
        index = targets[:, None].expand(-1, 5)
        arrived = zeros.scatter_add(0, index, messages)
        return x + self.update(torch.cat([x, arrived], 1))


class VAE(nn.Module):
    """A variational autoencoder; the loss is the negative ELBO. Noise is an input, or drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(6, 5), nn.Linear(2, 6)
        self.mean, self.spread = nn.Linear(5, 2), nn.Linear(5, 2)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        h = torch.tanh(self.encode(x))
        mean, spread = self.mean(h), self.spread(h)
        if noise is None:
            noise = torch.randn_like(mean)
        z = mean + torch.exp(0.5 * spread) * noise
        target = torch.sigmoid(x)
        rebuilt = functional.binary_cross_entropy_with_logits(
            self.decode(z), target, reduction="none"
        )
        divergence = -0.5 * (1 + spread - mean**2 - spread.exp())
        return (rebuilt.sum(-1) + divergence.sum(-1)).sum()


EXAMPLES = {
    "mlp": Example(mlp, (images(4),)),
    "lenet": Example(lenet, (images(1, 12, 12),)),
    "resnet": Example(Residual, (images(2, 6, 6),)),
    "resnet-training": Example(Residual, (images(2, 6, 6),), training=True),
    "mobilenet": Example(Inverted, (images(3, 5, 5),)),
    "unet": Example(UNet, (images(1, 8, 8),)),
    "lstm": Example(
        lambda: Recurrent(nn.LSTM), (lambda dtype: torch.randn(4, BATCH, 3, dtype=dtype),), (1,)
    ),
    "lstm-initial": Example(
        lambda: Recurrent(nn.LSTM, batch_first=True),
        (images(4, 3), states(4, 4), states(4, 4)), (0, 1, 1),
    ),
    "gru": Example(
        lambda: Recurrent(nn.GRU, batch_first=True), (images(4, 3), states(4, 4)), (0, 1)
    ),
    "encoder": Example(Encoder, (images(5, 8), labels(5)), (0, 0)),
    "masked": Example(Masked, (images(5, 8), labels(5)), (0, 0)),
    "decoder": Example(Decoder, (images(4, 8), images(5, 8)), (0, 0)),
    "gpt": Example(GPT, (labels(11, 5), labels(11, 5)), (0, 0)),
    "vit": Example(ViT, (images(2, 8, 8),)),
    "graph": Example(
        GraphNetwork,
        (
            lambda dtype: torch.randn(5, 4, dtype=dtype),
            lambda dtype: torch.randint(5, (7,)),
            lambda dtype: torch.randint(5, (7,)),
        ),
        (None, 0, 0),
    ),
    "vae": Example(VAE, (images(6), images(2)), (0, 0)),
    "vae-drawing": Example(VAE, (images(6),), draws=((BATCH, 2),)),
}  # fmt: skip
