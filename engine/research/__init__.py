"""Research over many variants and many results: sweeps, walk-forward, overfitting, comparison, reports, relations."""
