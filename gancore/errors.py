"""What a run cannot go on without."""


class Unavailable(RuntimeError):
    """Something that every run of a kind needs is not on this machine: pictures, or weights.

    The message is one line that says what is missing and what to do.
    """


class Unfit(ValueError):
    """What one run asks for does not fit its pictures, such as a batch larger than all of them.

    Runs that ask for less are not concerned.
    """
