"""What is known of files of pictures and of weights by their names and hashes alone."""

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
)
"""Of files that are taken for pictures."""

WEIGHTS_HASH = "6726825d"
"""How the sha256 of the published Inception begins."""

LARGEST_WEIGHTS = 200 << 20
"""Twice the size of the published Inception; what is larger need not be read to be refused."""
