"""Reports as HTML: one page that needs nothing else, no server and no network, made piece by piece.

`run.py` and `compared.py` make the page of a run and of a comparison, `plots.py` its plots, `items.py` its items, and
`*.html.jinja`, `page.css` and `viewer.js` are what it is made of. The routes import it.
"""
