"""Public sets of questions, from a local folder or from the pulled wheel; the suites import `choose` and `Problem`."""
