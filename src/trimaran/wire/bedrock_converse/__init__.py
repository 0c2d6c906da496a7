"""``bedrock.converse``: Amazon Bedrock's Converse and ConverseStream, both ends.

``request`` and ``content`` decode a client's request, ``upstream`` and ``blocks`` write one for a target, ``documents`` has
the formats and names of files, ``extra`` what only one family of models knows (``additionalModelRequestFields``).
``answer`` holds whole answers, ``decoder`` and ``encoder`` streams, ``position`` where one stands, ``usage`` what all of
them share. ``needs`` reads what a request asks of a target without decoding it, ``paths`` the model out of the path.

The shapes are those of botocore 1.44.8 (``bedrock-runtime``, 2023-09-30). Binary content is base64 in JSON.
"""

from __future__ import annotations

from trimaran.wire.bedrock_converse.dialect import BedrockConverse

__all__ = ["BedrockConverse"]
