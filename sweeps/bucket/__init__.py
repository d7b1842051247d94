"""Sweeps in a bucket (`s3://`): their files, as all other code takes them for a folder's."""

from sweeps.bucket.access import arrived, bucket_of, check, names, objects_at, of
from sweeps.bucket.address import folder_of, is_address, spoken

__all__ = [
    "arrived",
    "bucket_of",
    "check",
    "folder_of",
    "is_address",
    "names",
    "objects_at",
    "of",
    "spoken",
]
