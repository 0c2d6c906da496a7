"""The most that one attempt can be billed: what is reserved for it and held against a cost cap.

A token stands for at least one byte of what is sent, so the body's length bounds what is written there. Billed, and not
written there, are: what a server's template or its provider says to the model; pictures, whose tokens have nothing to do with
their bytes; what is only referred to (a document's pages, a conversation that the provider keeps); and what tools find that
the provider runs itself (:mod:`.hosted_tools`). An answer's limit holds for its reasoning, too: OpenAI's
``max_completion_tokens`` and Anthropic's ``max_tokens`` count it (https://platform.openai.com/docs/guides/reasoning,
https://platform.claude.com/docs/en/build-with-claude/extended-thinking, read 2026-11-24).

What a request can be billed depends on members that nobody has thought of yet. So only members that are known to change
nothing, or how much, have a bound; a request with any other one has none, and no budget lets it pass.

In a dialect that counts no tokens (``Dialect.counts``) nothing has a bound but what costs the same for each request.
"""

from __future__ import annotations

import msgspec

from trimaran.catalog import STANDARD_TIERS, Rates, bound_nanos, dearest_rates, picture_tokens
from trimaran.dispatch.attachments import Attachments, attachments
from trimaran.dispatch.converse_bounds import (
    CONVERSE_LOOKED_AT,
    CONVERSE_PLAIN,
    converse_is_bounded,
    converse_tier,
)
from trimaran.dispatch.gemini_bounds import GEMINI_LOOKED_AT, GEMINI_PLAIN, gemini_is_bounded, gemini_refers
from trimaran.dispatch.hosted_tools import NO_TOOLS, Hosted, hosted_tools
from trimaran.providers import PROVIDERS
from trimaran.types import Target, feature_mask
from trimaran.wire import DIALECTS, Envelope
from trimaran.wire.members import BAD_JSON

__all__ = ["DEFAULT_OUTPUT_TOKENS", "UNBOUNDED_TOKENS", "Bounds"]

DEFAULT_OUTPUT_TOKENS = 131_072
"""Where neither the client nor anything known of the target limits an answer. No model in the catalogue but one gives more
in one answer, and of that one it is known. An attempt at a target that demands a limit asks for less than this."""

TOOLS_TOKENS = 1024
"""What a provider adds to a prompt with tools, and again for each tool that it knows by its type. Anthropic says up to 530
tokens, and 735 for a computer (https://docs.anthropic.com/en/docs/tool-use-pricing-and-tokens), the others nothing."""

TEMPLATE_TOKENS = 1024
"""What a template, or whoever serves the model, writes before the client's words: about 70 tokens for gpt-oss, several
hundred for grok-4. OpenAI's own models and Anthropic's have less than the JSON around the words."""
_NO_TEMPLATE = ("gpt-3.5", "gpt-4", "gpt-5", "gpt-6", "chatgpt-", "o1", "o3", "o4-", "claude-", "text-embedding-")

LONGEST_CONTEXT = 1_050_000
"""Tokens of what is referred to, where the model's context is unknown: the longest of the models that keep something."""

UNBOUNDED_TOKENS = 10**15
"""More than any limit."""

_TOOLS = feature_mask("tools", "json_schema")
_VISION = feature_mask("vision")
_DOCUMENTS = feature_mask("documents")
_AUDIO = feature_mask("audio")
_UNUSUAL = _TOOLS | _VISION | _DOCUMENTS | _AUDIO

# fmt: off
_PLAIN = frozenset(
    {
        "model", "messages", "input", "instructions", "system", "prompt_cache_key", "prompt_cache_retention",
        "cache_control", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens", "n",
        "stop", "stop_sequences", "seed", "temperature", "top_p", "top_k", "min_p", "typical_p", "frequency_penalty",
        "presence_penalty", "repetition_penalty", "length_penalty", "logit_bias", "logprobs", "top_logprobs",
        "response_format", "text", "output_config", "output_format", "reasoning", "reasoning_effort", "thinking",
        "verbosity", "include", "include_reasoning", "reasoning_format", "user", "safety_identifier", "metadata",
        "store", "background", "truncation", "previous_response_id", "conversation", "tool_choice",
        "parallel_tool_calls", "function_call", "functions", "modalities", "audio", "max_tool_calls", "container",
        "thread", "dimensions", "encoding_format", "input_type", "min_tokens", "stop_token_ids",
        "include_stop_str_in_output", "ignore_eos", "skip_special_tokens", "bad_words",
        "spaces_between_special_tokens", "truncate_prompt_tokens", "prompt_logprobs", "add_generation_prompt",
        "continue_final_message", "add_special_tokens", "guided_json", "guided_regex", "guided_choice",
        "guided_grammar", "structured_outputs", "cache_salt", "chat_template_kwargs", "enable_thinking",
        "safe_prompt", "random_seed", "do_sample", "request_id",
    }
) | CONVERSE_PLAIN | GEMINI_PLAIN
# fmt: on
"""Members that change nothing of what is billed, or that the envelope tells: of the dialects, of vLLM and of other
servers that are often met."""
_LOOKED_AT = frozenset(
    {
        "context_management",
        "inference_geo",
        "mcp_servers",
        "prediction",
        "service_tier",
        "speed",
        "tools",
        "web_search_options",
    }
)
_GEMINI = "gemini.generate"
_ABOUT_PRICES = ("service_tier", "serviceTier", "speed", "inference_geo")

_TIERS = {"fast": "priority", "standard_only": "standard"}
"""Anthropic's and OpenAI's words; Bedrock's ``default`` is one of the catalogue's standard ones."""
_BY_CHANCE = ("batch", "fast")
"""Services that nobody gets who does not ask for them."""

_decode_text = msgspec.json.Decoder(str | None).decode
_Extent = tuple[int, int, int, int]
"""Input tokens, output tokens, searches on the web and in files."""


class Bounds:
    """The bounds of one target. Made once for each snapshot. ``tier`` is the service tier that each request to it asks for,
    in the provider's word; empty: only what the request itself says."""

    __slots__ = (
        "_always_searches",
        "_asked_always",
        "_by_asked",
        "_context",
        "_documents",
        "_output",
        "_picture",
        "_price",
        "_rates",
        "_reasons",
        "_target",
        "_template",
        "_tier_is_asked",
        "_tools_found",
        "_tools_seen",
        "_vision",
    )

    def __init__(self, target: Target, tier: str = "") -> None:
        self._target = target
        self._price = target.price
        self._asked_always = self._services_of(_TIERS.get(tier, tier)) if tier and target.price is not None else ()
        if self._asked_always is None:
            # A tier that has no known price serves all of them.
            self._price = None
        known = target.capabilities
        has = known.has if known is not None else frozenset()
        self._vision, self._documents, self._reasons = "vision" in has, "documents" in has, "reasoning" in has
        limit = target.max_output_tokens or (known.max_output_tokens if known is not None else None)
        self._output = limit or DEFAULT_OUTPUT_TOKENS
        self._context = (known.context_tokens if known is not None else None) or LONGEST_CONTEXT
        self._template = 0 if known is not None and known.family.startswith(_NO_TEMPLATE) else TEMPLATE_TOKENS
        self._picture = picture_tokens(target.upstream_model)
        self._always_searches = "-search-" in target.upstream_model
        self._tools_seen = b""
        self._tools_found: Hosted | None = NO_TOOLS
        self._by_asked: dict[tuple[str, ...], Rates] = {}
        price = target.price
        row = PROVIDERS.get(target.kind)
        self._tier_is_asked = row is not None and row.tier_is_asked
        self._rates = () if price is None else dearest_rates(price, self._reachable(), audio=False)

    def nanos(self, envelope: Envelope, sent: bytes) -> int | None:
        """The most, in nano-dollars, that the request of ``envelope`` can be billed when ``sent`` goes to the target;
        ``None`` where a price is unknown, or nothing limits what the provider does."""
        price = self._price
        if price is None:
            return None
        if not DIALECTS[envelope.dialect].counts:
            flat = not any(read or written for _, read, written in self._rates)
            return bound_nanos(price, self._rates, 0, 0) if flat else None
        members = envelope.members
        if self._is_plain(envelope):
            inputs = max(len(envelope.body), len(sent)) + self._template
            outputs = envelope.max_output_tokens
            return bound_nanos(
                price, self._rates, inputs, self._output * envelope.answers if outputs is None else outputs
            )
        rates = self._rates
        if not members.keys().isdisjoint(_ABOUT_PRICES) or envelope.needs & _AUDIO:
            services = self._services(envelope)
            if services is None:
                return None
            rates = self._rates_of(services, audio=envelope.needs & _AUDIO != 0)
        extent = self._extent(envelope, sent)
        return None if extent is None else bound_nanos(price, rates, *extent)

    def tokens(self, envelope: Envelope, sent: bytes) -> int:
        """The most tokens, in and out together; :data:`UNBOUNDED_TOKENS` where nothing limits them."""
        extent = self._extent(envelope, sent) if DIALECTS[envelope.dialect].counts else None
        return UNBOUNDED_TOKENS if extent is None else extent[0] + extent[1]

    def output(self, envelope: Envelope) -> int:
        """The most output tokens, over all answers, as far as the client's limit and the model's go."""
        limit = envelope.max_output_tokens
        return self._output * envelope.answers if limit is None else limit

    def _is_plain(self, envelope: Envelope) -> bool:
        """Whether the body's length and the limit on output say all."""
        return (
            not (envelope.needs & _UNUSUAL or envelope.stateful or self._always_searches)
            and _PLAIN.issuperset(envelope.members)
            and not _refers(envelope)
        )

    # Tokens

    def _extent(self, envelope: Envelope, sent: bytes) -> _Extent | None:
        inputs = max(len(envelope.body), len(sent)) + self._template
        outputs = self.output(envelope)
        if self._is_plain(envelope):
            return inputs, outputs, 0, 0
        tools = self._tools(envelope)
        if tools is None:
            return None
        needs = envelope.needs
        if needs & _TOOLS:
            # A schema may be kept by a tool.
            inputs += TOOLS_TOKENS * (1 + tools.explained)
        if needs & (_VISION | _DOCUMENTS) or tools.explained:
            # What a computer shows is a picture, too.
            inputs += self._attached(envelope, sent)
        outputs += len(envelope.members.get("prediction", b"")) * envelope.answers
        searches = tools.web_searches
        if self._always_searches:
            searches += 1
            inputs += self._context
        if needs & _DOCUMENTS or envelope.stateful or _refers(envelope) or self._holds_video(envelope):
            # All of it stands in the model's context.
            inputs = max(inputs, self._context)
        if tools.turns > 1:
            # Each time with what has been found so far.
            inputs = max(inputs, self._context) * tools.turns
            if tools.repeats_output:
                outputs *= tools.turns
        return inputs, outputs, searches, tools.file_searches

    def _tools(self, envelope: Envelope) -> Hosted | None:
        """What hosted tools can do; ``None`` also where another member of the request has no bound."""
        members = envelope.members
        gemini = envelope.dialect == _GEMINI
        for name, raw in members.items():
            if name in _PLAIN or bytes(raw) == b"null":
                continue
            if name in CONVERSE_LOOKED_AT and not gemini:
                if not converse_is_bounded(name, raw):
                    return None
                continue
            if gemini and name in GEMINI_LOOKED_AT:
                if not gemini_is_bounded(name, raw):
                    return None
                continue
            if name not in _LOOKED_AT:
                return None
            if name == "web_search_options" and not self._always_searches:
                return None
            if name == "mcp_servers" and bytes(raw) != b"[]":
                return None
            if name == "context_management" and bytes(raw).find(b"compact") >= 0:
                # A summary is written in a turn of its own.
                return None
        tools_raw = members.get("tools")
        if tools_raw is None or gemini:
            return NO_TOOLS
        if "max_tool_calls" in members:
            tools = hosted_tools(tools_raw, members["max_tool_calls"])
            return None if tools is not None and tools.preview and not self._reasons else tools
        # An agent sends the same tools again and again; to compare them takes a tenth of the time.
        written = bytes(tools_raw)
        if written != self._tools_seen:
            self._tools_seen, self._tools_found = written, hosted_tools(tools_raw, None)
        return self._tools_found

    def _holds_video(self, envelope: Envelope) -> bool:
        """Whether moving pictures are among what is attached: a second of them is many tokens."""
        return envelope.needs & _VISION != 0 and attachments(envelope.body).videos > 0

    def _attached(self, envelope: Envelope, sent: bytes) -> int:
        """Tokens of the pictures, less the bytes that are theirs or a document's."""
        body = envelope.body
        found = attachments(body)
        tokens = found.pictures * self._picture
        left_out = self._left_out(found)
        if envelope.dialect in self._target.dialects:
            return tokens - left_out
        # What a translation wrote counts by itself: it need not hold all that came.
        text = max(len(body) - left_out, len(sent) - self._left_out(attachments(sent)))
        return tokens + text - max(len(body), len(sent))

    def _left_out(self, found: Attachments) -> int:
        """Bytes that are billed as a picture or a document: by a model that has eyes for them. A server may show others to
        its model as text."""
        return found.picture_bytes * self._vision + found.document_bytes * self._documents

    # Prices

    def _reachable(self) -> tuple[str, ...]:
        """Services that a request may get that asks for none: an account can have another default."""
        if self._tier_is_asked:
            return self._asked_always or ()
        services = self._price.services if self._price is not None else {}
        return tuple(sorted(services.keys() - _BY_CHANCE))

    def _services(self, envelope: Envelope) -> tuple[str, ...] | None:
        """Services that may answer; ``None``: one that has no known price."""
        assert self._price is not None
        try:
            tier, speed, place = (
                _decode_text(envelope.members.get(name, b"null")) or ""
                for name in ("service_tier", "speed", "inference_geo")
            )
            if envelope.dialect == _GEMINI:
                tier = tier or _decode_text(envelope.members.get("serviceTier", b"null")) or ""
            else:
                tier = tier or converse_tier(envelope.members) or ""
        except BAD_JSON:
            return None
        if place not in ("", "global"):
            return None
        tier = _TIERS.get(tier, tier)
        services = self._reachable() if tier in ("", "auto") else self._services_of(tier)
        if services is None:
            return None
        services = tuple(dict.fromkeys((*services, *(self._asked_always or ()))))
        if speed in ("", "standard"):
            return services
        return (*services, speed) if speed in self._price.services else None

    def _services_of(self, tier: str) -> tuple[str, ...] | None:
        """Services that may answer who asks for this tier; ``None``: one that has no known price."""
        assert self._price is not None
        if tier in self._price.services:
            return (tier,)
        # The flexible one is there to be cheaper than the standard one.
        return () if tier in STANDARD_TIERS or tier == "flex" else None

    def _rates_of(self, services: tuple[str, ...], *, audio: bool) -> Rates:
        assert self._price is not None
        key = (*services, "audio") if audio else services
        rates = self._by_asked.get(key)
        if rates is None:
            rates = self._by_asked[key] = dearest_rates(self._price, services, audio=audio)
        return rates


def _refers(envelope: Envelope) -> bool:
    """Whether the body only refers to a part of what is read."""
    return envelope.dialect == _GEMINI and gemini_refers(bytes(envelope.members.get("contents", b"")))
