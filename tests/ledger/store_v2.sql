-- A ledger of schema 2, as `sqlite3 FILE .dump` writes it: one request that ended well, one that failed and is tried again.
PRAGMA user_version = 2;
PRAGMA application_id = 1414678861;
BEGIN TRANSACTION;
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
    cost_nanos INTEGER, audio_input_tokens INTEGER, audio_output_tokens INTEGER,              -- NULL: unknown, never free
    PRIMARY KEY (request_id, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO "attempt_rows" VALUES('01a0c4506c0000000000000000000000',1,'acme',1,1790000000000000000,154000,350,256,'fastest: 412 ms predicted',7,3,1790000000900000000,1,'complete',412000,900000,6,5,4,3,2,1,123,9,8);
INSERT INTO "attempt_rows" VALUES('01a0c4506c0000000000000000000001',1,'acme',1,1790000000000000000,154000,350,256,'fastest: 412 ms predicted',7,3,1790000000900000000,2,'complete',412000,900000,6,5,4,3,2,1,0,9,8);
INSERT INTO "attempt_rows" VALUES('01a0c4506c0000000000000000000001',2,'acme',1,1790000000000000000,154000,350,256,'fastest: 412 ms predicted',7,3,NULL,NULL,'',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
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
INSERT INTO "contexts" VALUES(1,'team-a','{"cost_center":"42"}','chat','openai/gpt-4o-mini','openai','gpt-4o-mini','anthropic.messages','openai.chat',1,1);
CREATE TABLE journal_offsets (
    segment TEXT PRIMARY KEY,
    offset INTEGER NOT NULL,
    damaged INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
INSERT INTO "outcomes" VALUES(1,'ok',200,'','stop','v1',1);
INSERT INTO "outcomes" VALUES(2,'failed',200,'','stop','v1',1);
CREATE TABLE price_versions (
    target TEXT NOT NULL,
    version TEXT NOT NULL,
    source TEXT NOT NULL,
    as_of TEXT NOT NULL,
    price TEXT NOT NULL,             -- the whole price as JSON, pico-dollars
    PRIMARY KEY (target, version)
) STRICT, WITHOUT ROWID;
INSERT INTO "price_versions" VALUES('openai/gpt-4o-mini','v1','somewhere','2026-01-31','{"version":"v1","source":"somewhere","as_of":"2026-01-31","tiers":[[0,150000,600000,75000,null,null,null,null,null]],"request":0}');
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
COMMIT;
