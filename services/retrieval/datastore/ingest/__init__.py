"""From the files of an owner to the documents of a segment, a module a stage.

`sources` finds the files, `shards` divides them, `readers` reads them, `prepare` runs over a shard what looks at one
document alone (`decontaminate`, `quality`), `duplicates` compares the documents of one owner, and `prepared` puts the
shards together. A stage over shards takes values and returns values, so that any scheduler can run it anywhere.
Imported by `datastore.build` alone: a service that serves reads segments only.
"""
