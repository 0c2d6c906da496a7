"""Google: where its credentials, projects and locations come from, and how the Gemini API, Vertex AI and Cloud Run are asked.

place         which project and location are meant, without asking anybody
access        from settings and environment to who a provider acts as, and where
credentials   Application Default Credentials, walked off the road
metadata      what Google tells its own machines of themselves
failures      what goes wrong there, in sentences with their mends
vertex…       the doors of Vertex AI, its targets and endpoints
"""

from __future__ import annotations

__all__: list[str] = []
