"""What a finished sweep says: statistics, budget curves, the report."""
