"""A query rewritten by the language model into the text that an answer would be found in."""

from __future__ import annotations

from services.retrieval.language.model import LanguageModel, Mask
from services.retrieval.recent import Recent

REWRITE = """{query}

Instructions:
1. State the essential problem of the text above.
2. Think step by step about what a document that helps with it would say.
3. Draft an answer."""
"""After ReasonIR (Shao et al. 2025), which rewrites the queries of BRIGHT so; the answer takes the query's place."""

TOKENS = 256
"""At most, of a rewrite."""
LONGEST = 4000
"""Characters of a query that the model reads."""

_KEPT = 1024


class Rewriter:
    """Remembers the last rewrites: by the experts that computed them, the model and the query."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._kept: Recent[tuple[str, str], str] = Recent(_KEPT)

    async def rewrite(self, query: str, mask: Mask) -> str:
        """The rewrite; the query itself when the model has nothing to say. Raises ServiceError, ConsentNotApplied."""
        key = (mask.revision, query)
        rewritten = self._kept.get(key)
        if rewritten is None:
            choice = await self._model.chat(mask, REWRITE.format(query=query[:LONGEST]), tokens=TOKENS)
            rewritten = choice.message.content.strip() or query
            self._kept.put(key, rewritten)
        return rewritten
