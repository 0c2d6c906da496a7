"""The ledger's tables. A change is a new migration at the end; one that has been released is never edited.

``attempt_rows`` holds what differs from attempt to attempt. What repeats (who asked for what at which target; how it
ended) stands once in ``contexts`` and ``outcomes``: that halves the file and the work of writing. People and reports
read the view ``attempts``, which puts them together; its columns are the stable interface.

PostgreSQL has the same tables and view, in a schema of their own (``trimaran``).

There is no secondary index: a request id begins with its time in milliseconds, so the primary key is the index by time.
All tables are STRICT, and no column takes a float. Times ``_ns`` are wall clock since 1970 UTC, ``_us`` are durations.
"""

from __future__ import annotations

__all__ = ["APPLICATION_ID", "MIGRATIONS", "POSTGRES_MIGRATIONS"]

APPLICATION_ID = 0x5452494D
"""``TRIM``, in the file's header: tells our ledger from any other SQLite file."""

_V1 = """
CREATE TABLE contexts (
    id INTEGER PRIMARY KEY,
    key_id TEXT NOT NULL,
    tags TEXT NOT NULL,              -- JSON object with sorted names, or ''
    model TEXT NOT NULL,
    target TEXT NOT NULL,
    provider TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    dialect_in TEXT NOT NULL,
    dialect_out TEXT NOT NULL,
    stream INTEGER NOT NULL,
    simulated INTEGER NOT NULL,
    UNIQUE (key_id, tags, model, target, provider, upstream_model, dialect_in, dialect_out, stream, simulated)
) STRICT;

CREATE TABLE outcomes (
    id INTEGER PRIMARY KEY,
    status TEXT NOT NULL,            -- ok, failed, cancelled, rejected
    http_status INTEGER NOT NULL,    -- 0: the target did not answer
    error_code TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    price_version TEXT NOT NULL,
    estimated INTEGER NOT NULL,      -- 1: the usage is our count, not the provider's report
    UNIQUE (status, http_status, error_code, finish_reason, price_version, estimated)
) STRICT;

CREATE TABLE attempt_rows (
    request_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    context INTEGER NOT NULL REFERENCES contexts (id),
    started_ns INTEGER NOT NULL,
    bound_nanos INTEGER,             -- NULL: cannot be bounded
    input_tokens_estimate INTEGER NOT NULL DEFAULT 0,
    max_output_tokens INTEGER,
    why TEXT NOT NULL DEFAULT '',
    snapshot INTEGER NOT NULL DEFAULT 0,
    worker INTEGER NOT NULL DEFAULT 0,
    settled_ns INTEGER,              -- NULL: open
    outcome INTEGER REFERENCES outcomes (id),
    reason TEXT NOT NULL DEFAULT '',
    ttft_us INTEGER,
    latency_us INTEGER,
    input_tokens INTEGER,            -- NULL: no usage known
    output_tokens INTEGER,
    cached_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    cache_write_1h_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost_nanos INTEGER,              -- NULL: unknown, never free
    PRIMARY KEY (request_id, attempt)
) STRICT, WITHOUT ROWID;

CREATE VIEW attempts AS
SELECT r.request_id, r.attempt, r.tenant, c.key_id, c.tags, c.model, c.target, c.provider, c.upstream_model,
    c.dialect_in, c.dialect_out, c.stream, c.simulated, r.started_ns, r.settled_ns, r.snapshot, r.worker, r.why,
    r.bound_nanos, r.input_tokens_estimate, r.max_output_tokens,
    COALESCE(o.status, 'open') AS status, o.http_status, o.error_code, o.finish_reason, r.reason,
    r.ttft_us, r.latency_us, r.input_tokens, r.output_tokens, r.cached_read_tokens, r.cache_write_tokens,
    r.cache_write_1h_tokens, r.reasoning_tokens, r.cost_nanos, o.price_version, o.estimated
FROM attempt_rows r
JOIN contexts c ON c.id = r.context
LEFT JOIN outcomes o ON o.id = r.outcome;

CREATE TABLE price_versions (
    target TEXT NOT NULL,
    version TEXT NOT NULL,
    source TEXT NOT NULL,
    as_of TEXT NOT NULL,
    price TEXT NOT NULL,             -- the whole price as JSON, pico-dollars
    PRIMARY KEY (target, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal_offsets (
    segment TEXT PRIMARY KEY,
    offset INTEGER NOT NULL,
    damaged INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

_V2 = """
ALTER TABLE attempt_rows ADD COLUMN audio_input_tokens INTEGER;
ALTER TABLE attempt_rows ADD COLUMN audio_output_tokens INTEGER;

DROP VIEW attempts;
CREATE VIEW attempts AS
SELECT r.request_id, r.attempt, r.tenant, c.key_id, c.tags, c.model, c.target, c.provider, c.upstream_model,
    c.dialect_in, c.dialect_out, c.stream, c.simulated, r.started_ns, r.settled_ns, r.snapshot, r.worker, r.why,
    r.bound_nanos, r.input_tokens_estimate, r.max_output_tokens,
    COALESCE(o.status, 'open') AS status, o.http_status, o.error_code, o.finish_reason, r.reason,
    r.ttft_us, r.latency_us, r.input_tokens, r.output_tokens, r.cached_read_tokens, r.cache_write_tokens,
    r.cache_write_1h_tokens, r.reasoning_tokens, r.audio_input_tokens, r.audio_output_tokens, r.cost_nanos,
    o.price_version, o.estimated
FROM attempt_rows r
JOIN contexts c ON c.id = r.context
LEFT JOIN outcomes o ON o.id = r.outcome;
"""
"""Audio tokens. They are NULL in older rows: nobody counted them."""

_VIEW_V3 = """
CREATE VIEW attempts AS
SELECT r.request_id, r.attempt, r.tenant, c.key_id, c.tags, c.model, r.fallback_model, c.target, c.provider,
    c.upstream_model, c.dialect_in, c.dialect_out, c.stream, c.simulated, r.started_ns, r.settled_ns, r.snapshot,
    r.worker, r.why, r.bound_nanos, r.input_tokens_estimate, r.max_output_tokens,
    COALESCE(o.status, 'open') AS status, o.http_status, o.error_code, o.finish_reason, r.reason,
    r.ttft_us, r.latency_us, r.input_tokens, r.output_tokens, r.cached_read_tokens, r.cache_write_tokens,
    r.cache_write_1h_tokens, r.reasoning_tokens, r.audio_input_tokens, r.audio_output_tokens, r.web_searches,
    r.file_searches, r.service_tier, r.cost_nanos, o.price_version, o.estimated
FROM attempt_rows r
JOIN contexts c ON c.id = r.context
LEFT JOIN outcomes o ON o.id = r.outcome;
"""

_V3 = (
    """
ALTER TABLE attempt_rows ADD COLUMN web_searches INTEGER;
ALTER TABLE attempt_rows ADD COLUMN file_searches INTEGER;
ALTER TABLE attempt_rows ADD COLUMN service_tier TEXT NOT NULL DEFAULT '';
ALTER TABLE attempt_rows ADD COLUMN fallback_model TEXT NOT NULL DEFAULT '';
ALTER TABLE price_versions ADD COLUMN valid_from TEXT NOT NULL DEFAULT '';

CREATE TABLE capacity (
    pool TEXT NOT NULL,              -- the provider's name in targets
    from_ns INTEGER NOT NULL,
    until_ns INTEGER NOT NULL,
    replicas INTEGER NOT NULL,
    offer TEXT NOT NULL,
    platform TEXT NOT NULL,
    region TEXT NOT NULL,
    purchase_option TEXT NOT NULL,
    hourly_nanos INTEGER,            -- of one replica; NULL: unknown, never free
    amortised_hourly_nanos INTEGER NOT NULL,
    source TEXT NOT NULL,
    as_of TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    PRIMARY KEY (pool, from_ns, offer, platform, region, purchase_option)
) STRICT, WITHOUT ROWID;

CREATE TABLE writers (
    lane TEXT NOT NULL,              -- of its request ids, their characters 13 to 24
    journal TEXT NOT NULL,           -- name of its segments: worker-0.<boot>
    place TEXT NOT NULL,             -- the installation that its journal belongs to
    PRIMARY KEY (lane, journal)
) STRICT, WITHOUT ROWID;

DROP VIEW attempts;
"""
    + _VIEW_V3
)
"""Searches, service tiers, fallback models, own capacity, and who still writes."""

MIGRATIONS = (_V1, _V2, _V3)
"""For SQLite. ``PRAGMA user_version`` counts how many of them a file has had."""

POSTGRES_MIGRATIONS = {
    3: """
CREATE TABLE contexts (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id TEXT NOT NULL,
    tags TEXT NOT NULL,
    model TEXT NOT NULL,
    target TEXT NOT NULL,
    provider TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    dialect_in TEXT NOT NULL,
    dialect_out TEXT NOT NULL,
    stream BIGINT NOT NULL,
    simulated BIGINT NOT NULL,
    digest TEXT NOT NULL UNIQUE      -- of all the others: together they can be too long for an index
);

CREATE TABLE outcomes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    status TEXT NOT NULL,
    http_status BIGINT NOT NULL,
    error_code TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    price_version TEXT NOT NULL,
    estimated BIGINT NOT NULL,
    digest TEXT NOT NULL UNIQUE
);

CREATE TABLE attempt_rows (
    request_id TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    context BIGINT NOT NULL,
    started_ns BIGINT NOT NULL,
    bound_nanos BIGINT,
    input_tokens_estimate BIGINT NOT NULL DEFAULT 0,
    max_output_tokens BIGINT,
    why TEXT NOT NULL DEFAULT '',
    snapshot BIGINT NOT NULL DEFAULT 0,
    worker BIGINT NOT NULL DEFAULT 0,
    settled_ns BIGINT,
    outcome BIGINT,
    reason TEXT NOT NULL DEFAULT '',
    ttft_us BIGINT,
    latency_us BIGINT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cached_read_tokens BIGINT,
    cache_write_tokens BIGINT,
    cache_write_1h_tokens BIGINT,
    reasoning_tokens BIGINT,
    cost_nanos BIGINT,
    audio_input_tokens BIGINT,
    audio_output_tokens BIGINT,
    web_searches BIGINT,
    file_searches BIGINT,
    service_tier TEXT NOT NULL DEFAULT '',
    fallback_model TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (request_id, attempt)
);

CREATE TABLE price_versions (
    target TEXT NOT NULL,
    version TEXT NOT NULL,
    source TEXT NOT NULL,
    as_of TEXT NOT NULL,
    price TEXT NOT NULL,
    valid_from TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (target, version)
);

CREATE TABLE capacity (
    pool TEXT NOT NULL,
    from_ns BIGINT NOT NULL,
    until_ns BIGINT NOT NULL,
    replicas BIGINT NOT NULL,
    offer TEXT NOT NULL,
    platform TEXT NOT NULL,
    region TEXT NOT NULL,
    purchase_option TEXT NOT NULL,
    hourly_nanos BIGINT,
    amortised_hourly_nanos BIGINT NOT NULL,
    source TEXT NOT NULL,
    as_of TEXT NOT NULL,
    simulated BIGINT NOT NULL,
    PRIMARY KEY (pool, from_ns, offer, platform, region, purchase_option)
);

CREATE TABLE writers (
    lane TEXT NOT NULL,
    journal TEXT NOT NULL,
    place TEXT NOT NULL,
    PRIMARY KEY (lane, journal)
);

CREATE TABLE journal_offsets (
    segment TEXT PRIMARY KEY,
    "offset" BIGINT NOT NULL,
    damaged BIGINT NOT NULL
);
"""
    + _VIEW_V3
}
"""For PostgreSQL, by the version that each leads to: the same versions as SQLite's, from the first that had both. The
meaning of columns is written above. Names in ``contexts`` and ``outcomes`` are never deleted, so nothing refers to them
by a constraint that each row would pay for."""
