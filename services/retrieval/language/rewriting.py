"""A query rewritten by the language model into the text that an answer would be found in."""

from __future__ import annotations

from collections import OrderedDict

from services.retrieval.language.model import LanguageModel, Mask

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
        self._kept: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def rewrite(self, query: str, mask: Mask) -> str:
        """The rewrite; the query itself when the model has nothing to say. Raises ServiceError, ConsentNotApplied."""
        key = (mask.revision, query)
        if key not in self._kept:
            choice = await self._model.chat(mask, REWRITE.format(query=query[:LONGEST]), tokens=TOKENS)
            self._kept[key] = choice.message.content.strip() or query
        self._kept.move_to_end(key)
        rewritten = self._kept[key]
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return rewritten
