"""What can go wrong that is not our bug, each with its exit code."""

from __future__ import annotations


class GansweepError(Exception):
    """An end that the user is told in one line a problem, without a traceback."""

    exit_code = 1


class UserError(GansweepError):
    """The user's input is wrong."""

    exit_code = 2


class Busy(GansweepError):
    """A sweep is locked, or its name is in use."""

    exit_code = 3


class EnvironmentTrouble(GansweepError):
    """Storage, network, cluster or port: not the sweep file's fault."""

    exit_code = 5


class Unwritable(EnvironmentTrouble):
    """The disk is full, read-only, gone or broken: no trial's own fault."""


class Superseded(Busy):
    """Another process has begun to write where this one wrote: this one may write no more."""


class DamagedSweep(EnvironmentTrouble):
    """A folder that is no sweep that this version can read: altered, cut off, or of a later one."""
