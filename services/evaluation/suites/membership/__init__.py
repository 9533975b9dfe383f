"""`membership`: can an outsider tell which documents an owner's expert was trained on? The registry imports `suite`.

`drawn.py` finds members and non-members; the suite `owners` measures with them too.
"""
