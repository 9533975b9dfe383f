"""The model service: generation and scores under per-request masks of experts, over OpenAI's API.

`routes` say what goes in and out, `serving` turns requests into the engines' work and back, `engines` compute,
`flexolmo` makes and masks experts. Only `gateway.embedded` and `gateway.cli` import it.
"""
