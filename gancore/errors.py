"""What no run can go on without."""


class Unavailable(RuntimeError):
    """Something that every run of a kind needs is not on this machine: pictures, or weights.

    The message is one line that says what is missing and what to do.
    """
