"""A vision transformer of the tests' own, whose attention is spelled in several ways."""

import torch
from torch import nn
from torch.nn import functional

SPELLINGS = ("fused", "softmax", "module", "bmm", "encoder")


class TinyViT(nn.Module):
    """Images (n, c, 16, 16), patches of 4x4; class tokens, then patches, then `trailing` tokens."""

    def __init__(
        self, spelling="fused", n_classes=4, n_class=1, trailing=0, pool="token", in_channels=1
    ):
        super().__init__()
        self.pool, self.n_class, self.trailing = pool, n_class, trailing
        self.features = nn.Sequential(nn.Conv2d(in_channels, 8, 4, stride=4), nn.Flatten(2))
        self.tokens = nn.Parameter(torch.randn(1, n_class + trailing, 8))
        self.places = nn.Parameter(torch.randn(1, n_class + 16 + trailing, 8))
        self.blocks = nn.Sequential(*(Block(spelling) for _ in range(2)))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Sequential(nn.Linear(8, n_classes))
        nn.init.normal_(self.head[0].bias)

    def forward(self, images):
        patches = self.features(images).mT
        tokens = self.tokens.expand(len(images), -1, -1)
        parts = [tokens[:, : self.n_class], patches, tokens[:, self.n_class :]]
        tokens = self.norm(self.blocks(torch.cat(parts, dim=1) + self.places))
        if self.pool == "token":
            return self.head(tokens[:, 0])
        return self.head(tokens[:, self.n_class : self.n_class + 16].mean(dim=1))


class Block(nn.Module):
    """Attention of two heads and an MLP, each behind a norm and beside a residual connection."""

    def __init__(self, spelling):
        super().__init__()
        self.spelling = spelling
        self.layer = nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0, activation="gelu", batch_first=True, norm_first=True
        )
        for name, weight in self.layer.named_parameters():
            if "norm" not in name:
                nn.init.normal_(weight)  # attention far from even

    def forward(self, tokens):
        layer = self.layer
        if self.spelling == "encoder":
            return layer(tokens)
        tokens = tokens + self.attend(layer.norm1(tokens))
        return tokens + layer.linear2(functional.gelu(layer.linear1(layer.norm2(tokens))))

    def attend(self, tokens):
        module = self.layer.self_attn
        if self.spelling == "module":
            return module(tokens, tokens, tokens)[0]
        mixed = functional.linear(tokens, module.in_proj_weight, module.in_proj_bias)
        q, k, v = mixed.unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)  # each (n, heads, t, d)
        if self.spelling == "fused":
            by_head = functional.scaled_dot_product_attention(q, k, v)
        elif self.spelling == "softmax":
            by_head = torch.softmax(q @ k.mT / 2, dim=-1) @ v
        else:
            q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
            by_head = nn.Softmax(dim=2)(torch.bmm(q, k.mT) / 2) @ v
            by_head = by_head.unflatten(0, (-1, 2))
        return module.out_proj(by_head.transpose(1, 2).flatten(2))
