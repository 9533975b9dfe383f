"""The OLMoTrace procedure: from a text to the spans that stand verbatim in corpora, and the documents they stand in."""
