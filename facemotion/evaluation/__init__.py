"""Numbers and pictures about a generator: metrics, reports, comparisons and the study with people."""
