"""Books for the suite `copybench`: a text file becomes the items that are asked about it. No HTTP here.

`build.build` is what the command calls; `file` reads and writes what it makes.
"""
