"""What is known of files of pictures and of weights by their names and hashes alone."""

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
)
"""Of files that are taken for pictures."""

WEIGHTS_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""Of the published Inception."""

WEIGHTS_FILE = "weights-inception-2015-12-05-6726825d.pth"
"""What it is called where it is downloaded to."""

LARGEST_WEIGHTS = 200 << 20
"""Twice the size of the published Inception; what is larger need not be read to be refused."""
