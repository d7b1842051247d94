"""Whether a sweep could run, here or on a cluster: a look at each thing, and what to do."""
