"""The report's figures as pictures of their own, each ready for a slide."""

from sweeps.report.pictures.gallery import PICTURES, write_pictures, write_rank_picture

__all__ = ["PICTURES", "write_pictures", "write_rank_picture"]
