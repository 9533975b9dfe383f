"""Where the owners' texts come from: a file an origin. Each names its licence and reads its documents and questions.

Only `gateway.data.texts` imports the sources.
"""
