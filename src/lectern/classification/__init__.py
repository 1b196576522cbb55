"""Score classifiers and draw their reports, for every task whose targets are classes."""
