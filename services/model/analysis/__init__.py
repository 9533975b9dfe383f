"""OLMoE's analyses of routing, the report made of them, and its page.

The analyses are functions of numpy arrays, a module each (Muennighoff et al. 2024, "OLMoE: Open Mixture-of-Experts
Language Models", section 5). Imports engines and contracts; nothing of HTTP.
"""
