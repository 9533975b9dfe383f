"""FlexOlmo: experts trained apart by their owners, merged into one model, masked request by request.

`train` and `export` make an owner's expert, `merge` and `build` join experts to the public model, `mask`
leaves experts out of a request, `perplexity` and `matrix` measure what each is worth,
`compare` what the merge is worth against other ways (`candidates`) to use the same text, `tune` moves a merged router. Imported by the model
service's engines and by the command line; knows nothing of HTTP.
"""
