"""FlexOlmo: experts trained apart by their owners, merged into one model, masked request by request.

`train` and `export` make an owner's expert, `merge` and `build` join experts to the public model, `tune` moves a
merged router, `mask` leaves experts out of a request. `perplexity` and `matrix` measure what each expert is worth,
`compare` what their merge is worth against other ways to use the same text (`candidates`). Imported by the model
service's engines and by the command line; knows nothing of HTTP.
"""
