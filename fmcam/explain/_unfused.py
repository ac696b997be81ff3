"""Attention in plain operators, which can be watched and differentiated twice."""

from collections.abc import Callable

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["Unfused", "multi_head", "scaled_dot_product"]


class Unfused(TorchFunctionMode):
    """Torch's fused attention runs as plain operators, in this thread alone."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        plain = _PLAIN.get(func)
        if plain is None:
            return func(*args, **(kwargs or {}))
        return plain(lambda attention: attention, *args, **(kwargs or {}))


def scaled_dot_product(
    keep,
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
):
    """Torch's function of this name, its attention kept."""
    if is_causal or enable_gqa:
        raise ValueError(
            "The network's attention is causal or shares keys between heads (`is_causal`, "
            "`enable_gqa`), which is not known here. Use GradCAM."
        )
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None:
        boolean = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -torch.inf) if boolean else scores + attn_mask
    return keep(scores.softmax(dim=-1)) @ value


def multi_head(
    keep,
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    use_separate_proj_weight=False,
    average_attn_weights=True,
    **unused,
):
    """Torch's function of this name, its attention kept: (q, n, d) and (t, n, d) -> (q, n, d)."""
    odd = (bias_k, key_padding_mask, attn_mask)
    if add_zero_attn or use_separate_proj_weight or any(one is not None for one in odd):
        raise ValueError(
            "The network's nn.MultiheadAttention has masks, further keys or separate projections, "
            "which are not known here. Use GradCAM."
        )
    biases = [None] * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    projected = map(functional.linear, (query, key, value), in_proj_weight.chunk(3), biases)
    by_head = [one.unflatten(2, (num_heads, -1)).permute(1, 2, 0, 3) for one in projected]
    kept = []

    def note(attention):
        kept.append(keep(attention))
        return kept[0]

    mixed = scaled_dot_product(note, *by_head).permute(2, 0, 1, 3).flatten(2)
    weights = kept[0].mean(dim=1) if average_attn_weights else kept[0]
    output = functional.linear(mixed, out_proj_weight, out_proj_bias)
    return output, weights if need_weights else None


_PLAIN: dict[Callable, Callable] = {
    functional.scaled_dot_product_attention: scaled_dot_product,
    functional.multi_head_attention_forward: multi_head,
}
