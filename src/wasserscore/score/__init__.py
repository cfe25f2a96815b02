"""Scores: s(x, t) = grad log p_t(x), one file each."""
