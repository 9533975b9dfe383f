"""`moe`: OLMoE's analyses of the router over the owners' texts. The registry imports `suite`; `plots` draws."""
