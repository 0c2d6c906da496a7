"""Microsoft Azure: Entra ID's tokens, Azure OpenAI's doors, online endpoints of Azure Machine Learning.

access       from settings and environment to who is meant, and where (no I/O)
credentials  the token of an identity, through azure-identity (blocks; off the road)
failures     what goes wrong on the way to a token, in sentences
endpoint     the forms that an endpoint's URL comes in
openai       the doors of Azure OpenAI
openai_target  from a deployment's name to its model, price and door
ml           the doors of online endpoints
ml_endpoints   from a configured endpoint to a target
kind         what the kinds of provider know of their targets
"""

from __future__ import annotations

__all__: list[str] = []
