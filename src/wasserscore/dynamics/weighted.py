"""The arithmetic of a step: a weighted sum of points, in as few passes over memory as it takes."""

from torch import Tensor


def weighted_sum(*terms: tuple[float, Tensor]) -> Tensor:
    r""":math:`\sum_i w_i x_i`, added in this order, as a new tensor.

    Products and sums are separate operations on purpose: a fused one rounds differently at the
    end of a vector register, and a row's bits would depend on where it lies in the batch. Terms of
    weight zero are left out, and a weight of one costs no product: both are exact. So a term that
    is infinite where its weight is zero does no harm.

    Args:
        terms: Pairs of a weight and a tensor; all tensors have the same shape.
    """
    kept = [term for term in terms if term[0] != 0] or [terms[0]]
    if kept[0][0] == 1 and len(kept) > 1:
        kept[0], kept[1] = kept[1], kept[0]
    weight, x = kept[0]
    total = weight * x
    for weight, x in kept[1:]:
        total.add_(x if weight == 1 else weight * x)
    return total
