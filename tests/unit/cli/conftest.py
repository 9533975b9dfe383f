"""An answer as a gateway would give it, with everything in it that a terminal must show."""

import pytest

from shared.contracts.candor import (
    AnswerTrace,
    AppliedOwners,
    CandorReport,
    ChatAnswer,
    FailedStage,
    LedgerEntry,
    OwnerChoice,
    ReadPassage,
    Sample,
    Timings,
)
from shared.contracts.openai import AssistantMessage, Choice, Usage
from shared.contracts.retrieval import PassageScores
from shared.contracts.tracing import Match, Relevance, Span, TracedDocument

TEXT = "🦭 The harbour seal [1] dives for mussels."


def span(words: str, relevance: Relevance = "high") -> Span:
    """The span of these words of TEXT, found in one document."""
    start = TEXT.index(words)
    match = Match(
        id="tides:1",
        owner="papers",
        corpus="papers",
        snippet=f"... {words} ...",
        match_start=4,
        match_end=4 + len(words),
        score=1.0,
    )
    return Span(
        start=start,
        end=start + len(words),
        text=words,
        length=3,
        count=1234,
        relevance=relevance,
        owners=["papers"],
        documents=[match],
    )


@pytest.fixture
def answer() -> ChatAnswer:
    passage = ReadPassage(
        n=1,
        id="tides:1#0",
        document="tides:1",
        owner="papers",
        source="tides",
        title="On seals",
        licence="CC-BY-4.0",
        text="The harbour seal\nlives near quays.",
        scores=PassageScores(ann=0.5, exact=0.7),
    )
    samples = [
        Sample(text=TEXT, answer="mussels", confidence=17.25, tokens=12, finish_reason="stop", votes=1.5),
        Sample(text="Kelp.", answer="kelp", confidence=None, tokens=2, finish_reason="length", votes=0.5),
    ]
    report = CandorReport(
        id="cand-1",
        owners=AppliedOwners(
            permitted=["encyclopedia", "papers", "medicine"],
            requested=OwnerChoice(exclude=["medicine"]),
            effective=["encyclopedia", "papers"],
        ),
        passages=[passage],
        samples=samples,
        winner=0,
        trace=AnswerTrace(
            id="trace-1",
            corpora=["papers"],
            spans=[span("harbour seal"), span("dives for", "low")],
            documents=[
                TracedDocument(
                    id="tides:1",
                    owner="papers",
                    corpus="papers",
                    source="tides",
                    title="On the tides",
                    licence="CC-BY-4.0",
                    score=1.0,
                    relevance="high",
                )
            ],
        ),
        ledger=[
            LedgerEntry(owner="encyclopedia", experts=[], routing_share=0, passages=0, traced_characters=0),
            LedgerEntry(owner="papers", experts=["papers"], routing_share=0.375, passages=1, traced_characters=21),
        ],
        timings=Timings(policy=1, retrieve=20, generate=1500, aggregate=2, trace=30, total=1553),
        failed=[FailedStage(stage="trace", error="the corpus of medicine is gone")],
        warnings=["temperature was ignored"],
    )
    return ChatAnswer(
        id="chatcmpl-1",
        created=0,
        model="candor",
        usage=Usage(prompt_tokens=1, completion_tokens=14, total_tokens=15),
        choices=[Choice(index=0, message=AssistantMessage(content=TEXT), finish_reason="stop")],
        candor=report,
    )
