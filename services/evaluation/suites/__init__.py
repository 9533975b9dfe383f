"""The suites: what is asked, and how an answer is scored. A file a suite; `base.py` is the protocol they follow.

Suites know nothing of runs, storage or HTTP routes. Imported by the service and its jobs.
"""
