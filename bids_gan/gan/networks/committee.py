"""Several networks of one kind, trained apart."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Committee(nn.Module):
    """Give every member the same input, and their outputs one behind the other.

    Parameters
    ----------
    members : iterable of module
        Each maps (N, C, ...) to (N, C', ...).

    Notes
    -----
    Where the input is unlike what they were trained on, networks are sure of different things:
    their disagreement tells what none of them does (Lakshminarayanan et al. 2017, NeurIPS 30).
    """

    def __init__(self, members: Iterable[nn.Module]):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, ...) to (N, M C', ...)."""
        return torch.cat([member(x) for member in self.members], dim=1)
