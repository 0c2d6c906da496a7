"""The ledger's tables. A change is a new migration at the end; one that has been released is never edited.

``attempt_rows`` holds what differs from attempt to attempt. What repeats (who asked for what at which target; how it
ended) stands once in ``contexts`` and ``outcomes``: that halves the file and the work of writing. People and reports
read the view ``attempts``, which puts them together; its columns are the stable interface.

There is no secondary index: a request id begins with its time in milliseconds, so the primary key is the index by time.
All tables are STRICT, and no column takes a float. Times ``_ns`` are wall clock since 1970 UTC, ``_us`` are durations.
"""

from __future__ import annotations

__all__ = ["APPLICATION_ID", "MIGRATIONS"]

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

_V3 = """
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
    PRIMARY KEY (pool, from_ns, offer, region, purchase_option)
) STRICT, WITHOUT ROWID;

DROP VIEW attempts;
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
"""Searches, service tiers, fallback models and own capacity."""

MIGRATIONS = (_V1, _V2, _V3)
"""``PRAGMA user_version`` counts how many of them a file has had."""
