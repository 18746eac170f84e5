"""How many entries a share of a tensor is."""


def count_of(share: float, size: int) -> int:
    """Return ``max(1, round(share * size))``, or refuse the share."""
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}: expected a number in (0, 1]")
    return max(1, round(share * size))
