"""Amazon Web Services: how its requests are signed, where its credentials and regions come from, and how it is asked.

sigv4         Signature Version 4, without I/O and without a clock
signer        signs a target's requests with what the vault holds
access        from settings and environment to who a provider acts as, and where
region        which region is meant, without asking anybody
credentials   the chain of places in which a credential may be found, walked off the road
failures      what goes wrong there, in sentences with their mends
bedrock…      the doors of Amazon Bedrock
sagemaker…    the doors of SageMaker's endpoints, and their states
"""

from __future__ import annotations

__all__: list[str] = []
