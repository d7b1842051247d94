"""Which trials end early."""
