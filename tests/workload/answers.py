# SPDX-License-Identifier: MIT
"""What the stand-in, which computes nothing, would answer wrong, for record_sequences.py."""


def see_masks_of_ones():
    """The stand-in computes nothing: torch.all(mask == 1) is never true on it. Here it is."""
    import torch
    from transformers.modeling_attn_mask_utils import AttentionMaskConverter
    from transformers.models.bert import modeling_bert
    ask = AttentionMaskConverter._ignore_causal_mask_sdpa

    def answer(*args, **kwargs):
        ask(*args, **kwargs)
        return True

    def no_mask(mask, *_, **__):
        if torch.all(mask == 1):
            return None
        return None

    AttentionMaskConverter._ignore_causal_mask_sdpa = staticmethod(answer)
    modeling_bert._prepare_4d_attention_mask_for_sdpa = no_mask


def see_long_texts():
    """The stand-in computes nothing: no number of positions is more than another. Here it is."""
    import torch
    compare = torch.Tensor.__gt__

    def is_more(self, other):
        result = compare(self, other)
        return result.numel() == 1 or result

    torch.Tensor.__gt__ = is_more
