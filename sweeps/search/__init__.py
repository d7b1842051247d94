"""Which points a sweep tries next, where it learns from those that it has tried."""
