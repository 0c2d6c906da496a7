"""Every setting, declared once: the structs a configuration is read into.

Settings are few on purpose. A new one needs a user who cannot do without it, and a reason for its default that a reader
would accept. Names in values (providers, strategies, dialects) are not checked here: this room knows shapes, and those
registries live above it; whoever resolves a name asks :meth:`Config.where` for its line.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import (
    ADDRESS,
    DATE,
    DIGEST,
    EXACT_NAME,
    FLAG,
    FOLDER,
    MODEL_NAME,
    MONEY,
    NAME,
    PROVIDER_NAME,
    SECRET,
    TAG,
    TARGET,
    TARGET_NAME,
    TOKEN_PRICE,
    URL,
    OneOf,
    count,
    duration,
    name,
    size,
    text,
    weight,
)
from trimaran.config.reading import Path, dotted
from trimaran.config.setting import Group, Listing, Refused, Setting, Table
from trimaran.types import DEFAULT_TENANT, FEATURES, Limits, Secret, ServerLimits

__all__ = [
    "CapabilitiesConfig",
    "Config",
    "KeyConfig",
    "LedgerConfig",
    "LimitsConfig",
    "ModelConfig",
    "PriceConfig",
    "ProviderConfig",
    "ServerConfig",
]

_LIMITS = Limits()
_SERVER = ServerLimits()
_MIB = 1024 * 1024
_SLO_NAME = r"(?:ttft|tpot|e2e)_p(?:50|90|95|99)"
_HEADER_NAME = r"[A-Za-z][A-Za-z0-9-]{0,63}"
_UPSTREAM_NAME = r"[A-Za-z0-9@][A-Za-z0-9._:/@+-]{0,199}"


class LimitsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one request through all of its attempts. A client may tighten them, never loosen them."""

    deadline_s: Annotated[
        float,
        Setting(
            kind=duration(0.1, 86400, example="30s"),
            what="How long a request may take in all, through every attempt.",
            why="A client that waits longer has given up; what is still running for it costs money.",
            unit="duration",
            reason="the openai and anthropic clients give up after ten minutes, too",
        ),
    ] = _LIMITS.deadline_s
    connect_s: Annotated[
        float,
        Setting(
            kind=duration(0.05, 300, example="2s"),
            what="How long name resolution, TCP and TLS may take before the next target is tried.",
            why="An unreachable target must not use up the deadline.",
            unit="duration",
            reason="the openai and anthropic clients wait as long; a healthy connection takes a tenth of it",
        ),
    ] = _LIMITS.connect_s
    ttft_s: Annotated[
        float,
        Setting(
            kind=duration(0.05, 86400, example="10s"),
            what="How long a target may take to its first token before the next target is tried.",
            why="This is where a slow target is noticed while another one can still answer. An answer that is not "
            "streamed gets the time to generate it on top.",
            unit="duration",
            reason="long prompts and reasoning models need tens of seconds; lower it for chat",
        ),
    ] = _LIMITS.ttft_s
    idle_s: Annotated[
        float,
        Setting(
            kind=duration(0.05, 86400, example="20s"),
            what="How long a stream may stand still after its first token.",
            why="A stream that stands still is broken, and nothing can be retried once content was sent.",
            unit="duration",
            reason="far longer than any pause of a healthy stream",
        ),
    ] = _LIMITS.idle_s
    max_attempts: Annotated[
        int,
        Setting(
            kind=count(1, 20, example="3"),
            what="How many attempts one request may make in all, hedges included.",
            why="Retries multiply load exactly when targets are in trouble.",
            unit="attempts",
            reason="two targets, each tried twice",
        ),
    ] = _LIMITS.max_attempts
    max_cost_nanos: Annotated[
        int | None,
        Setting(
            kind=MONEY,
            what="The most that one request may cost through all attempts; an attempt whose bound does not fit is "
            "not sent.",
            why="One request with a huge prompt and three retries can cost more than a day of ordinary traffic.",
            unit="USD",
            reason="what is dear depends on who pays; without it nothing is refused",
            default="no limit",
        ),
    ] = _LIMITS.max_cost_nanos

    def limits(self) -> Limits:
        """The same bounds as the value that travels in a snapshot."""
        return Limits(**msgspec.structs.asdict(self))


class PriceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one model costs at one provider, where the catalogue does not know it or you pay something else."""

    input_picos: Annotated[
        int,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens.",
            why="Attempts are billed and bounded with it.",
            unit="USD for a number of tokens",
            reason="a price is never guessed",
        ),
    ]
    output_picos: Annotated[
        int,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of output tokens, reasoning included.",
            why="Attempts are billed and bounded with it.",
            unit="USD for a number of tokens",
            reason="a price is never guessed",
        ),
    ]
    cached_read_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens read from the provider's cache.",
            why="Cached input is usually much cheaper.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of input",
        ),
    ] = None
    cache_write_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens written to the provider's cache.",
            why="Some providers charge more for them than for other input.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of input",
        ),
    ] = None
    cache_write_1h_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens written to a cache that lives for an hour.",
            why="Some providers charge more for the longer life.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of cache_write",
        ),
    ] = None
    reasoning_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of output tokens spent on reasoning.",
            why="A few providers charge another price for them.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of output",
        ),
    ] = None
    audio_input_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of input tokens that are audio, cached ones included.",
            why="Audio usually costs several times what text costs.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of input",
        ),
    ] = None
    audio_output_picos: Annotated[
        int | None,
        Setting(
            kind=TOKEN_PRICE,
            what="Price of output tokens that are audio.",
            why="Audio usually costs several times what text costs.",
            unit="USD for a number of tokens",
            reason="unknown is not free",
            default="the price of output",
        ),
    ] = None
    request_nanos: Annotated[
        int,
        Setting(
            kind=MONEY,
            what="Price of each request, on top of its tokens.",
            why="Some providers charge for the request itself.",
            unit="USD",
            reason="few providers do",
        ),
    ] = 0
    source: Annotated[
        str,
        Setting(
            kind=text(200, expected="where the price comes from", example="contract 2026-014"),
            what="Where the price comes from; written to the ledger.",
            why="A bill that is disputed a year later needs its source.",
            reason="the file itself is the source",
        ),
    ] = "configuration"
    as_of: Annotated[
        str,
        Setting(
            kind=DATE,
            what="When the price was read; written to the ledger as part of the price version.",
            why="Prices change, and old rows must say which one they used.",
            unit="date",
            reason="without a date, a digest of the figures stands for the version",
        ),
    ] = ""


_FEATURE = OneOf(FEATURES, what="feature", example="vision")


class CapabilitiesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one model can do at one provider, where the catalogue does not know it or the provider cuts something off."""

    has: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(_FEATURE, expected="a list of features", example="[tools, vision]"),
            what=f"Features it has: {', '.join(f'`{name}`' for name in FEATURES)}.",
            why="A feature that it is said to lack is refused; this corrects the catalogue.",
            reason="what is unknown is sent and tried",
            default="the catalogue's",
        ),
    ] = ()
    lacks: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(_FEATURE, expected="a list of features", example="[tools, vision]"),
            what="Features it lacks. A request that needs one of them goes to another target or is refused.",
            why="Without it such a request costs an attempt, or is answered wrongly.",
            reason="what is unknown is sent and tried",
            default="the catalogue's",
        ),
    ] = ()
    context_tokens: Annotated[
        int | None,
        Setting(
            kind=count(1, 100_000_000, example="32768"),
            what="How many tokens its context holds, input and output together.",
            why="A server started with a shorter context than the model's own refuses what the model could read.",
            unit="tokens",
            reason="what is unknown is sent and tried",
            default="the catalogue's",
        ),
    ] = None
    max_output_tokens: Annotated[
        int | None,
        Setting(
            kind=count(1, 100_000_000, example="8192"),
            what="Its longest answer. Goes before the provider's `max_output_tokens`.",
            why="A request for a longer one goes to another target or is refused; `anthropic.messages` needs a limit.",
            unit="tokens",
            reason="what is unknown is sent and tried",
            default="the catalogue's",
        ),
    ] = None
    reasoning: Annotated[
        str,
        Setting(
            kind=OneOf(("effort", "budget", "adaptive"), what="way to set reasoning", example="effort"),
            what="How its reasoning is set: by `effort`, by a `budget` of tokens, or `adaptive` (effort, and the model "
            "decides when).",
            why="A translated request must set it in the model's own way.",
            reason="known models have theirs",
            default="the catalogue's",
        ),
    ] = ""


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A provider: a known one with something changed, or a new one that speaks a known dialect."""

    dialects: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(
                name(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*", expected="a dialect", example="openai.chat"),
                expected="a dialect or a list of dialects",
                example="[openai.chat, openai.embeddings]",
                least=1,
                single=True,
            ),
            what="The wire APIs it speaks. A request in one of them passes as it is; any other one is translated into the "
            "first that can carry it.",
            why="They decide what is sent and how the answer is read.",
            reason="most servers that are not a vendor's own speak openai.chat",
            default="the known provider's own, else openai.chat and openai.embeddings",
        ),
    ] = ()
    base_url: Annotated[
        str,
        Setting(
            kind=URL,
            what="Where it is reached, with or without the final `/v1`; `/v1/chat/completions` or `/v1/messages` is "
            "appended.",
            why="Proxies, regional endpoints and your own servers.",
            unit="URL",
            reason="each known provider has one; a new one must say it",
            default="the known provider's own",
        ),
    ] = ""
    api_key: Annotated[
        Secret | None,
        Setting(
            kind=SECRET,
            what="The credential, as a reference: `${MY_API_KEY}` or `${file:/run/secrets/key}`.",
            why="A file is copied, committed and mailed; a reference may be.",
            reason="known providers read the variable their own clients read; a new one gets no credential",
            default="the known provider's variable",
        ),
    ] = None
    headers: Annotated[
        dict[str, Secret],
        Setting(
            kind=Table(
                SECRET,
                key=_HEADER_NAME,
                key_expected="the name of an HTTP header",
                expected="header names with references to their values",
                example='headers: {x-team-token: "${TEAM_TOKEN}"}',
            ),
            what="Further request headers; their values are credentials and given as references.",
            why="Gateways and company proxies ask for headers of their own.",
            reason="no provider needs one",
            default="none",
        ),
    ] = {}
    region: Annotated[
        str | None,
        Setting(
            kind=name(NAME, expected="a region's name", example="eu-west-1"),
            what="Where it computes; written to the ledger.",
            why="Spend and latency are compared by region.",
            reason="public endpoints do not say",
            default="unknown",
        ),
    ] = None
    default_model: Annotated[
        str,
        Setting(
            kind=name(_UPSTREAM_NAME, expected="a model's name at the provider", example="gpt-4o-mini"),
            what="The model that stands for it in `auto`, when no models are configured.",
            why="`auto` compares one model of each provider.",
            reason="each known provider has a small, fast one; a new one stays out of `auto`",
            default="the known provider's own",
        ),
    ] = ""
    max_output_tokens: Annotated[
        int | None,
        Setting(
            kind=count(1, 10_000_000, example="8192"),
            what="The longest answer it allows, used where its dialect demands a limit and the client gave none.",
            why="`anthropic.messages` refuses a request without one.",
            unit="tokens",
            reason="known models have theirs",
            default="what is known of the model",
        ),
    ] = None
    prices: Annotated[
        dict[str, PriceConfig],
        Setting(
            kind=Table(
                Group(
                    PriceConfig, expected="the prices of one model", example="{input: 0.15 USD/1M, output: 0.60 USD/1M}"
                ),
                key=_UPSTREAM_NAME,
                key_expected="a model's name at the provider",
                expected="model names with their prices",
                example="prices: {my-model: {input: 0.15 USD/1M, output: 0.60 USD/1M}}",
            ),
            what="Prices of its models, where they differ from the catalogue's or are missing there.",
            why="A target without a price is unknown, never free: it cannot be used under a cost limit.",
            reason="the catalogue knows the public list prices",
            default="the catalogue's",
        ),
    ] = {}
    capabilities: Annotated[
        dict[str, CapabilitiesConfig],
        Setting(
            kind=Table(
                Group(CapabilitiesConfig, expected="what one model can do", example="{has: [tools], lacks: [vision]}"),
                key=_UPSTREAM_NAME,
                key_expected="a model's name at the provider",
                expected="model names with what they can do",
                example="capabilities: {my-model: {has: [tools], lacks: [vision], context_tokens: 32768}}",
            ),
            what="What its models can do, where the catalogue does not know them or is wrong. Anything left out keeps the "
            "catalogue's value.",
            why="A request is sent only where it can be answered; a model of your own is known to you alone.",
            reason="the catalogue knows the public models; what it does not know is sent and tried",
            default="the catalogue's",
        ),
    ] = {}
    simulated: Annotated[
        bool,
        Setting(
            kind=FLAG,
            what="Marks its answers as simulated in the ledger and in every table.",
            why="Rehearsals must never be mistaken for real traffic.",
            reason="almost every provider is real",
        ),
    ] = False


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A public model: the name clients ask for and the targets behind it."""

    targets: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(TARGET, expected="a list of targets", example="[openai/gpt-4o-mini]", least=1),
            what="What can answer it, each written `provider/model`.",
            why="With two of them, one can fail unnoticed.",
            reason="a model without a target cannot answer",
        ),
    ]
    strategy: Annotated[
        str,
        Setting(
            kind=name(r"[a-z][a-z_]{0,31}", expected="the name of a strategy", example="fastest"),
            what="How the order of targets is decided for each request: `fastest` by the predicted time, `cheapest` by the "
            "predicted cost among the targets that keep the SLO, `weighted` by a draw, `ordered` as they are listed.",
            why="Speed, cost and a fixed preference are different wishes.",
            reason="it is what a router is for, and it needs no tuning",
        ),
    ] = "fastest"
    weights: Annotated[
        dict[str, float],
        Setting(
            kind=Table(
                weight(1_000_000, example="3"),
                key=TARGET_NAME,
                key_expected="one of the model's targets, such as openai/gpt-4o-mini",
                expected="targets with their weights",
                example="weights: {openai/gpt-4o-mini: 3, groq/llama-3.3-70b-versatile: 1}",
            ),
            what="Shares of the traffic, for the strategy `weighted`: a target with 3 gets three times as much as one with "
            "1. A weight of 0 keeps it for when no other can answer.",
            why="A new target is tried on a small share first, and a contract is used in the share it was signed for.",
            reason="without a wish, all are equal",
            default="1 for each target",
        ),
    ] = {}
    slo: Annotated[
        dict[str, float],
        Setting(
            kind=Table(
                duration(0.001, 86400, example="1s"),
                key=_SLO_NAME,
                key_expected="ttft, tpot or e2e with a percentile, such as ttft_p95",
                expected="percentiles with durations",
                example="slo: {ttft_p95: 1s}",
            ),
            what="How fast it should answer, by percentile. The strategy `cheapest` asks only targets that are predicted to "
            "keep it, and the fastest where none is; the other strategies do not look at it.",
            why="The cheapest target is often the slowest. To cut requests off, use limits.",
            unit="duration",
            reason="only you know what your users accept",
            default="none",
        ),
    ] = {}
    limits: Annotated[
        LimitsConfig,
        Setting(
            kind=Group(LimitsConfig, expected="limits", example="limits: {deadline: 30s}"),
            what="Limits of this model's requests, where they differ from the general ones.",
            why="A chat must answer sooner than a report.",
            reason="one set of limits is easier to reason about",
            default="the general limits",
        ),
    ] = LimitsConfig()


class KeyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A client's key. Only its digest is kept; ``key`` is ``None`` in a loaded configuration."""

    key: Annotated[
        Secret | None,
        Setting(
            kind=SECRET,
            what="The key that clients send, as a reference. Either this or `digest`.",
            why="The easiest way where a secret store already fills the environment.",
            reason="a key must be chosen by you",
            default="none",
        ),
    ] = None
    digest: Annotated[
        bytes,
        Setting(
            kind=DIGEST,
            what="The SHA-256 digest of the key. Either this or `key`.",
            why="The file and this process then never see the key itself.",
            reason="a key must be chosen by you",
            default="of `key`",
        ),
    ] = b""
    tenant: Annotated[
        str,
        Setting(
            kind=name(NAME, expected="a tenant's name", example="acme"),
            what="Who pays for what the key is used for.",
            why="The tenant stands on every row of the ledger.",
            reason="most installations have one",
        ),
    ] = DEFAULT_TENANT
    tags: Annotated[
        dict[str, str],
        Setting(
            kind=Table(
                TAG, key=NAME, key_expected="a tag's name", expected="tags", example='tags: {cost_center: "42"}'
            ),
            what="What spend is grouped by.",
            why="`trimaran spend --by tag:NAME` reads them.",
            reason="groups are yours to choose",
            default="none",
        ),
    ] = {}
    models: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(
                name(EXACT_NAME, expected="a public model's name", example="chat"),
                expected="a list of public models",
                example="[chat]",
            ),
            what="The models it may call.",
            why="A key for one application should not open the dearest model.",
            reason="a key that can do nothing surprises more",
            default="all models",
        ),
    ] = ()
    budget: Annotated[
        None,
        Setting(
            kind=Refused(
                "remove it; a budget that is not enforced would be worse than none. limits.max_cost bounds a request"
            ),
            what="What the key may spend in a period.",
            why="Spend must be bounded by whoever answers for it.",
            reason="not part of this version",
        ),
    ] = None
    rpm: Annotated[
        None,
        Setting(
            kind=Refused("remove it; a rate limit that is not enforced would be worse than none"),
            what="Requests per minute.",
            why="One client must not starve the others.",
            reason="not part of this version",
        ),
    ] = None

    def __repr__(self) -> str:
        # The digest of a weak key is as good as the key.
        return f"KeyConfig(tenant={self.tenant!r}, tags={self.tags!r}, models={self.models!r})"


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's door."""

    host: Annotated[
        str,
        Setting(
            kind=ADDRESS,
            what="The address it listens on.",
            why="Anything but a loopback address is reachable by others, and then keys are required.",
            reason="nothing is exposed before you decide so",
            option="--host",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Setting(
            kind=count(0, 65535, example="4000"),
            what="The TCP port it listens on; 0 takes a free one.",
            why="Clients need a fixed place.",
            reason="free on most machines, and what people expect of a model gateway",
            option="--port",
        ),
    ] = 4000
    admin_port: Annotated[
        int,
        Setting(
            kind=count(0, 65535, example="4001"),
            what="The TCP port of metrics and administration, always on 127.0.0.1; 0 takes a free one.",
            why="Metrics must stay out of clients' reach and answer when the door is overloaded.",
            reason="easy to remember, and it moves with the port",
            default="port + 1, or 0 where port is 0",
            option="--admin-port",
        ),
    ] = 4001
    workers: Annotated[
        int,
        Setting(
            kind=count(1, 256, example="4"),
            what="How many processes serve requests.",
            why="One process uses one core.",
            unit="processes",
            reason="one serves thousands of requests a second and learns latencies fastest",
            option="--workers",
        ),
    ] = 1
    max_body_bytes: Annotated[
        int,
        Setting(
            kind=size(1024, 1024 * _MIB, example="10MiB"),
            what="The largest request body.",
            why="A body is held in memory until it is answered, because a retry may need it.",
            unit="size",
            reason="the Anthropic API's own limit; images and long documents fit",
        ),
    ] = _SERVER.max_body_bytes
    max_header_bytes: Annotated[
        int,
        Setting(
            kind=size(1024, _MIB, example="16KiB"),
            what="The largest request head: request line and all headers.",
            why="Heads are parsed before anything is known about the client.",
            unit="size",
            reason="twice what common proxies allow; a client's own head is about 1 KiB",
        ),
    ] = _SERVER.max_header_bytes
    max_memory_bytes: Annotated[
        int,
        Setting(
            kind=size(_MIB, 1024 * 1024 * _MIB, example="512MiB"),
            what="The memory that bodies under way may take in one worker; beyond it requests are refused with 429.",
            why="Many large bodies at once must not kill the process and everybody's streams with it.",
            unit="size",
            reason="sixteen of the largest bodies at once",
        ),
    ] = _SERVER.max_memory_bytes
    receive_s: Annotated[
        float,
        Setting(
            kind=duration(0.1, 3600, example="10s"),
            what="How long a client may take from a request's first byte to its last.",
            why="Clients that send a byte now and then would hold connections for ever.",
            unit="duration",
            reason="32 MiB in a minute needs 4.5 Mbit/s",
        ),
    ] = _SERVER.receive_s
    keep_alive_s: Annotated[
        float,
        Setting(
            kind=duration(1, 86400, example="15s"),
            what="How long an idle client connection is kept.",
            why="A new connection costs a round trip, an idle one some memory.",
            unit="duration",
            reason="twice the idle time of common load balancers, which must be the first to close",
        ),
    ] = _SERVER.keep_alive_s
    drain_s: Annotated[
        float,
        Setting(
            kind=duration(0, 3600, example="60s"),
            what="How long requests under way may finish after the gateway was told to stop.",
            why="A stream that is cut cannot be retried by the client without paying twice.",
            unit="duration",
            reason="Kubernetes kills a container 30 seconds after telling it to stop; the rest is for the journal",
        ),
    ] = 25.0

    def limits(self) -> ServerLimits:
        """What of this a worker needs, as the value that travels in a snapshot."""
        return ServerLimits(
            max_body_bytes=self.max_body_bytes,
            max_header_bytes=self.max_header_bytes,
            max_memory_bytes=self.max_memory_bytes,
            receive_s=self.receive_s,
            keep_alive_s=self.keep_alive_s,
        )


class LedgerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where attempts are recorded."""

    dir: Annotated[
        str,
        Setting(
            kind=FOLDER,
            what="The folder of journal and database; made with mode 0700.",
            why="It outlives the process, and in a container it must be a volume.",
            unit="path",
            reason="where the XDG Base Directory specification puts what a program must keep",
            default="$XDG_STATE_HOME/trimaran, else ~/.local/state/trimaran",
            option="--ledger-dir",
        ),
    ] = ""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration, checked for shape. Build it with :func:`trimaran.config.load`."""

    limits: Annotated[
        LimitsConfig,
        Setting(
            kind=Group(LimitsConfig, expected="limits", example="limits: {deadline: 2m}"),
            what="Bounds of every request.",
            why="One request must not wait, retry or cost without end.",
            reason="see each of them",
        ),
    ] = LimitsConfig()
    models: Annotated[
        dict[str, ModelConfig],
        Setting(
            kind=Table(
                Group(ModelConfig, expected="a model", example="chat: {targets: [openai/gpt-4o-mini]}"),
                key=MODEL_NAME,
                key_expected="a model's name, or provider/*",
                expected="models by name",
                example="models: {chat: {targets: [openai/gpt-4o-mini]}}",
            ),
            what="The models that clients may ask for; with any of them, nothing else is served.",
            why="Clients name what they need; what answers can change behind the name.",
            reason="what the credentials reach is then served as `openai/*`, `anthropic/*`, … and `auto`",
            default="what the credentials reach",
        ),
    ] = {}
    providers: Annotated[
        dict[str, ProviderConfig],
        Setting(
            kind=Table(
                Group(ProviderConfig, expected="a provider", example="vllm: {base_url: http://127.0.0.1:8000}"),
                key=PROVIDER_NAME,
                key_expected="lower-case letters, digits, - and _",
                expected="providers by name",
                example="providers: {vllm: {base_url: http://127.0.0.1:8000}}",
            ),
            what="Providers that are new, or known ones with something changed.",
            why="Anything that speaks a known dialect can be a target.",
            reason="known providers need only their credential in the environment",
            default="the known ones",
        ),
    ] = {}
    keys: Annotated[
        dict[str, KeyConfig],
        Setting(
            kind=Table(
                Group(KeyConfig, expected="a key", example='team-a: {key: "${TEAM_A_KEY}"}'),
                key=NAME,
                key_expected="letters, digits, '.', - and _",
                expected="client keys by name",
                example='keys: {team-a: {key: "${TEAM_A_KEY}"}}',
            ),
            what="The clients' keys; with any of them, every request needs one.",
            why="Who asks is who pays, and a door that others can reach needs a lock.",
            reason="on a loopback address only this machine can ask",
            default="none; a key called default where TRIMARAN_KEY is set in the environment",
        ),
    ] = {}
    server: Annotated[
        ServerConfig,
        Setting(
            kind=Group(ServerConfig, expected="the server's settings", example="server: {port: 4000}"),
            what="How the gateway listens.",
            why="It is the one door.",
            reason="see each of them",
        ),
    ] = ServerConfig()
    ledger: Annotated[
        LedgerConfig,
        Setting(
            kind=Group(LedgerConfig, expected="the ledger's settings", example="ledger: {dir: /var/lib/trimaran}"),
            what="Where attempts are recorded.",
            why="What is not recorded cannot be billed.",
            reason="see each of them",
        ),
    ] = LedgerConfig()
    pools: Annotated[
        None,
        Setting(
            kind=Refused("remove it; a server you already run can be a provider: {base_url: http://...}"),
            what="Replicas of one artifact, deployed or adopted.",
            why="Own capacity is cheaper under steady load.",
            reason="not part of this version",
        ),
    ] = None
    plan: Annotated[
        None,
        Setting(
            kind=Refused("remove it; nothing would act on it"),
            what="The plan that was bought.",
            why="Capacity follows from workload and SLO.",
            reason="not part of this version",
        ),
    ] = None
    origin: str = ""
    """The file it was read from; empty without one."""
    places: dict[Path, str] = {}
    """Where each value that was given stands: ``trimaran.yaml:5``, ``--port``; empty where only its path tells."""
    warnings: tuple[str, ...] = ()
    """What works but is probably not meant. Holds no secret."""

    def where(self, *path: str | int) -> str:
        """``file:line`` of a setting, or of the nearest one above it; its dotted name where there is no file."""
        for end in range(len(path), 0, -1):
            place = self.places.get(path[:end])
            if place:
                return place
        return dotted(path)

    def __repr__(self) -> str:
        return (
            f"Config(origin={self.origin!r}, models={len(self.models)}, providers={len(self.providers)}, "
            f"keys={len(self.keys)}, server={self.server!r})"
        )
