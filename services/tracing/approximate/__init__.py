"""Approximate matches: words that stand in a corpus but for case, punctuation, spelling or a word here and there.

`words` cuts a text into normalised words, `index` keeps a suffix array over those of a segment, `kernels` extends exact
runs of words over small gaps, `match` puts it together. It asks nothing of the tokenizer, so that one index answers
for every text. Imported by the tracing service.
"""
