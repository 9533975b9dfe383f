"""Suffix-array indexes on disk: one corpus an owner, each a list of immutable segments.

`build` makes them from texts, `segment` writes and opens one segment, `corpus` publishes and opens the list of
them, `suffixes` sorts. Imported by the tracing service; `build_all` also by the command line.

    tracing/CORPUS/corpus.json          owner, licence and the segments in force; replacing it is the only commit
    tracing/CORPUS/changes.log          16 bytes for each document added or deleted by the service (see `log`)
    tracing/CORPUS/SEGMENT/manifest.json    counts, tokenizer, size and SHA-256 of every file below
        tokens.bin          u8 to u32   every document's tokens with a separator after each
        suffixes.bin        u64         positions in suffix order, without the separators', in as few bits as they need
        buckets.bin         u32         first rank of each token id
        documents.bin       u32         first token of each document, and the end
        records.bin         bytes       a JSON object a document: id, title, source, licence, url
        record_offsets.bin  u64         where each record begins, and the end
        keys.bin            u64         hashes of the document ids, ascending
        key_documents.bin   u32         the document of each hash
        term_documents.bin  u32         number of documents that contain each term (see Tokenizer.terms)
    tracing/CORPUS/SEGMENT/words/       an index of its words, for approximate matches (see `approximate.parts`)
"""
