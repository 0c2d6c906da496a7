"""The values every room shares: frozen, with units in their names.

A value here is data: it opens nothing, reads no clock and knows no vendor. Structs that are built for every
request have slots and are not frozen (freezing costs a call per field); all others are frozen.

Token counts: ``input_tokens`` counts *all* prompt tokens, cached ones included; ``cached_read_tokens`` and
``cache_write_tokens`` are parts of it. ``output_tokens`` counts all generated tokens, ``reasoning_tokens`` is a part of it.
``audio_input_tokens`` and ``audio_output_tokens`` are parts of the two; an audio token may be a cached one, too.

Money: a price is an integer number of pico-dollars (1e-12 USD) for one unit; an amount is an integer number of
nano-dollars (1e-9 USD), rounded up once for each attempt. There is no float in either.
"""

from __future__ import annotations

from typing import NoReturn

import msgspec

__all__ = [
    "DEFAULT_TENANT",
    "FEATURES",
    "PERIODS",
    "UNITS",
    "Allowance",
    "Capabilities",
    "Credential",
    "Identity",
    "KeyRecord",
    "Limits",
    "ModelPolicy",
    "PriceTier",
    "Secret",
    "ServerLimits",
    "Slo",
    "Snapshot",
    "Target",
    "TokenPrice",
    "Usage",
    "feature_mask",
]

DEFAULT_TENANT = "default"

FEATURES: dict[str, str] = {
    "chat": "conversations",
    "embeddings": "embeddings",
    "tools": "tool calls",
    "vision": "images as input",
    "documents": "documents (PDF) as input",
    "audio": "audio",
    "json_schema": "output held to a JSON schema",
    "reasoning": "reasoning whose effort can be set",
    "sampling": "temperature, top_p and their kin",
    "prefill": "continuing an assistant's turn that was begun",
    "caching": "prompt caching",
    "logprobs": "log-probabilities",
}
"""What a base model may be able to do: name, and what a message calls it. A request's needs and a target's abilities are
stated in these names, and on the road in bits, in this order."""


def feature_mask(*names: str) -> int:
    """The bits of the features named. Raises ``ValueError`` for one that is not in :data:`FEATURES`."""
    order = tuple(FEATURES)
    return sum(1 << order.index(name) for name in set(names))


class Secret:
    """A credential that never shows itself.

    ``repr``, ``str`` and formatting give ``***``; only :meth:`reveal` gives the text. Not a subclass of ``str``, so
    that no logger, f-string or JSON encoder can print it by accident.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Call it where the credential is written to the wire and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never serialised; reveal() it where it is written to the wire")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)


class Credential(msgspec.Struct, frozen=True):
    """What authenticates requests for a while. Its ``repr`` shows where it came from, and nothing of it."""

    parts: tuple[str, ...]
    """The secret words, in the order that its kind has: for AWS access key id, secret key and session token."""
    expires_ns: int | None = None
    """Wall clock; ``None``: it does not."""
    source: str = ""
    """Where it came from, for people: ``environment``, ``profile prod (sso)``."""

    def __repr__(self) -> str:
        return f"Credential(***, source={self.source!r})"


class Identity(msgspec.Struct, frozen=True):
    """How a credential is come by that has to be renewed: told to whoever renews it, off the road."""

    kind: str
    """``aws``."""
    settings: dict[str, str] = {}
    """``profile``, ``role_arn``, ``region``: no secrets."""


class Usage(msgspec.Struct, array_like=True):
    """Tokens of one attempt, by kind. See the module's docstring for what counts into what.

    It stands in journals as an array: fields are only ever appended, with a default.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    web_searches: int = 0
    """Searches that the provider ran on the web and charges one by one."""
    file_searches: int = 0
    """The same in files that it keeps."""


class PriceTier(msgspec.Struct, frozen=True, array_like=True):
    """Prices that hold for the whole attempt once its ``input_tokens`` are above ``above_input_tokens``.

    All prices in pico-dollars per token. ``None`` means *unknown*, not free: such tokens are charged as the kind they
    are a part of (``cached_read``, ``cache_write`` and ``audio_input`` as ``input``, ``cache_write_1h`` as
    ``cache_write``, ``reasoning`` and ``audio_output`` as ``output``). Fields are only ever appended: it stands in journals
    as an array.
    """

    above_input_tokens: int
    input: int
    output: int
    cached_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None


class TokenPrice(msgspec.Struct, frozen=True):
    """What one token costs at one target, with where the figure comes from.

    ``tiers`` are sorted by ``above_input_tokens``, the first one is 0. ``version`` names the price table and its date
    and is written to each ledger row.
    """

    version: str
    source: str
    as_of: str
    tiers: tuple[PriceTier, ...]
    request: int = 0
    """Pico-dollars for each request, on top of the tokens."""
    services: dict[str, tuple[PriceTier, ...]] = {}
    """By service tier, in neutral words (``flex``, ``priority``, ``batch``), where it differs from the standard one."""
    web_search: int | None = None
    """Pico-dollars for one search on the web; ``None`` is unknown."""
    file_search: int | None = None
    """The same in files that the provider keeps."""
    valid_from: str = ""
    """ISO date (UTC) from which it holds; empty: since ever."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a base model can do, as data. A feature that stands in neither set is *unknown*, and never a reason to refuse."""

    family: str
    """The row that the model's name matched: ``gpt-4o``."""
    has: frozenset[str] = frozenset()
    """Names in :data:`FEATURES`."""
    lacks: frozenset[str] = frozenset()
    context_tokens: int | None = None
    """Input and output together; ``None`` is unknown."""
    max_output_tokens: int | None = None
    reasoning_control: str = ""
    """How its reasoning is set: ``effort``, ``budget`` (of tokens), ``adaptive`` (effort, and the model decides when);
    empty where it cannot be set or is unknown."""
    cache_min_tokens: int | None = None
    """The shortest prefix that its prompt cache keeps."""
    embedding_dimensions: int | None = None
    """Length of its vectors where the client asks for none."""
    source: str = ""
    """Where this was read."""
    as_of: str = ""
    """When, as an ISO date."""


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one request through all of its attempts. Durations in seconds of the monotonic clock."""

    deadline_s: float = 600.0
    connect_s: float = 5.0
    ttft_s: float = 30.0
    idle_s: float = 30.0
    max_attempts: int = 4
    max_cost_nanos: int | None = None


class Target(msgspec.Struct, frozen=True):
    """One thing that can answer a model. Built once for each :class:`Snapshot`; never changed."""

    id: str
    """Unique in its snapshot, for people and for the ledger: ``openai/gpt-4o-mini``."""
    provider: str
    upstream_model: str
    dialects: tuple[str, ...]
    """The wire APIs it speaks: ``openai.chat``, ``anthropic.messages``. A request in one of them passes as it is; any other
    one is translated into the first that can carry it."""
    base_url: str
    """``https://host[:port]/prefix`` without a trailing slash; the dialect's path is appended."""
    credential: str = ""
    """Name of the secret in :attr:`Snapshot.secrets`; empty when the provider needs none."""
    region: str | None = None
    price: TokenPrice | None = None
    """``None`` is *unknown*, never free."""
    max_output_tokens: int | None = None
    """What the provider allows; used where a dialect demands a limit and the client gave none."""
    simulated: bool = False
    capabilities: Capabilities | None = None
    """``None`` is unknown."""
    kind: str = ""
    """The known provider whose ways it has: how it authenticates, how it is asked. Empty: one of the operator's own."""
    door: str = ""
    """How it is asked where that is not simply the dialect's path behind ``base_url``: a name in ``providers.DOORS``."""
    facts: dict[str, str] = {}
    """What its door needs to know besides: ``inference_component``, ``variant``."""
    cold_start_s: float = 0.0
    """How much longer a first token may take where nothing runs and has to be started first; 0: it always runs."""


class Slo(msgspec.Struct, frozen=True):
    """Limits on percentiles, in seconds: ``((0.95, 1.0),)`` is 1 s at the 95th. Empty: none."""

    ttft: tuple[tuple[float, float], ...] = ()
    """Time to first token."""
    tpot: tuple[tuple[float, float], ...] = ()
    """Time per output token."""
    e2e: tuple[tuple[float, float], ...] = ()
    """The whole answer."""


class ModelPolicy(msgspec.Struct, frozen=True):
    """How one public model is served: which targets, chosen how, within which limits."""

    name: str
    strategy: str
    """A name in ``routing.STRATEGIES``: ``fastest``, ``ordered``, ``cheapest``, ``weighted``."""
    targets: tuple[str, ...]
    """Target ids, in the order the user wrote."""
    limits: Limits = Limits()
    weights: tuple[float, ...] = ()
    """One for each target, where the strategy is ``weighted``."""
    slo: Slo = Slo()
    on_cut: str = "error"
    """What becomes of a stream that breaks after content: ``error``, ``restart`` (answers up to ``hold_bytes`` are held
    back, so that they can be asked for again whole), ``continue`` (another target goes on from what was said)."""
    hold_bytes: int = 64 * 1024
    failover_on: tuple[str, ...] = ()
    """Codes of refusals that are taken to another target although they are about the request: ``content_refused``,
    ``context_too_long``."""
    fallbacks: tuple[str, ...] = ()
    """Public models whose targets are asked, in this order, when none of this model's is left."""


UNITS = ("usd", "tokens", "requests")
PERIODS = ("minute", "hour", "day", "week", "month", "total")
"""Of UTC; a week begins on Monday. ``total`` never ends."""


class Allowance(msgspec.Struct, frozen=True):
    """How much may be used in each period: of money it is a budget, of tokens and requests a limit.

    Hard: what may still be used is reserved by its bound before it is sent, so that the sum is never passed.
    """

    id: str
    """``key:team-a:usd/month``, ``tenant:acme:requests/minute``, ``tag:cost_center=42:usd/day``."""
    scope: str
    """``key``, ``tenant`` or ``tag``."""
    name: str
    """The key's id, the tenant, or ``NAME=VALUE`` of the tag."""
    unit: str
    """One of :data:`UNITS`."""
    limit: int
    """Nano-dollars, tokens or requests."""
    period: str
    """One of :data:`PERIODS`."""


class KeyRecord(msgspec.Struct, frozen=True):
    """A client key as workers know it: a digest, never the key."""

    id: str
    digest: bytes
    """SHA-256 of the key, 32 bytes."""
    tenant: str = DEFAULT_TENANT
    tags: tuple[tuple[str, str], ...] = ()
    models: tuple[str, ...] = ()
    """Models it may call; empty means all."""
    expires_ns: int | None = None
    """Wall clock; from then on it is refused. ``None``: never."""
    allowances: tuple[str, ...] = ()
    """Ids of all that bind it: its own, its tenant's, its tags'."""


class ServerLimits(msgspec.Struct, frozen=True):
    """What a client may send to one worker. Sizes in bytes, durations in seconds."""

    max_body_bytes: int = 32 * 1024 * 1024
    max_header_bytes: int = 64 * 1024
    max_memory_bytes: int = 512 * 1024 * 1024
    """All request bodies under way in one worker."""
    receive_s: float = 60.0
    """From the first byte of a request to its last."""
    keep_alive_s: float = 120.0
    """How long an idle client connection is kept; above the 60 s of common load balancers, so that they close first."""


class Snapshot(msgspec.Struct, frozen=True):
    """Everything a worker needs to serve, immutable and versioned. Sent whole; the last good one is kept.

    ``secrets`` maps names to credentials in clear, because a worker must sign with them: a snapshot travels over a
    private socket pair only and is never logged. Its ``repr`` shows version and counts, nothing else.
    """

    version: int
    targets: dict[str, Target] = {}
    """By target id."""
    models: dict[str, ModelPolicy] = {}
    """By public name."""
    wildcards: dict[str, Target] = {}
    """By prefix (``openai``): a template whose ``upstream_model`` is ``*``. It serves ``openai/<any model>``; the worker
    fills in the name and the price."""
    secrets: dict[str, str] = {}
    identities: dict[str, Identity] = {}
    """By the name of a credential that is renewed off the road and not in ``secrets``."""
    headers: dict[str, tuple[tuple[str, str], ...]] = {}
    """By provider: further header names and values for its requests. The values are secrets, too."""
    keys: tuple[KeyRecord, ...] = ()
    require_key: bool = False
    allowances: tuple[Allowance, ...] = ()
    anonymous_allowances: tuple[str, ...] = ()
    """Of those who need no key: the default tenant's."""
    on_ledger_failure: str = "serve"
    """What to do with requests while attempts cannot be journalled: ``serve`` or ``refuse``."""
    default_limits: Limits = Limits()
    server: ServerLimits = ServerLimits()
    day: str = ""
    """ISO date (UTC) whose prices it holds; empty: that of the catalogue's table."""
    bare_names: bool = False
    """Whether a model's own name (``gpt-4o-mini``) is served, too, by the wildcard whose provider the catalogue names."""
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Snapshot(version={self.version}, targets={len(self.targets)}, models={len(self.models)}, "
            f"keys={len(self.keys)})"
        )
