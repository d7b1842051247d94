"""Sweeps as Ray jobs: packed here, run on a cluster's head, looked at from anywhere."""
