"""`copybench`: CopyBench's measures on your own books, with a book's owner in and out. The registry imports `suite`."""
