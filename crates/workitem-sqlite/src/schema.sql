-- Schema version 2. A row's `job` is jobs.id; `seq` is an item's position in its job, from 1.
-- The tables without a rowid are clustered by item, so that a page of items is one walk.

CREATE TABLE jobs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    spec          TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    digest        TEXT,                            -- NULL while submitting
    input_items   INTEGER NOT NULL DEFAULT 0,      -- items up to this seq are the input
    control       INTEGER NOT NULL DEFAULT 0,      -- 0 run, 1 pause, 2 cancel
    pending       INTEGER NOT NULL DEFAULT 0,
    in_progress   INTEGER NOT NULL DEFAULT 0,
    completed     INTEGER NOT NULL DEFAULT 0,
    failed        INTEGER NOT NULL DEFAULT 0,
    dead_lettered INTEGER NOT NULL DEFAULT 0,
    open_letters  INTEGER NOT NULL DEFAULT 0,
    skipped       INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE items (
    job      INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    id       TEXT NOT NULL,
    version  INTEGER NOT NULL DEFAULT 0,           -- events seen
    status   INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    text     TEXT,                                 -- agent id or error
    at       INTEGER,                              -- started_at or dlq_at
    result   TEXT,
    crashes  INTEGER NOT NULL DEFAULT 0,
    spawned  INTEGER NOT NULL DEFAULT 0,
    run_at   INTEGER NOT NULL DEFAULT 0,           -- 0: at once, before all others
    origin   TEXT,                                 -- id of the dead letter it was submitted anew for
    dropped  INTEGER NOT NULL DEFAULT 0,           -- a dead letter that was dismissed
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX items_by_id ON items (job, id);
CREATE INDEX items_due ON items (job, run_at, seq) WHERE status = 0;
CREATE INDEX items_abandoned ON items (job, seq) WHERE status IN (1, 3);
CREATE INDEX items_dead ON items (job, seq) WHERE status = 4;
CREATE INDEX items_by_origin ON items (job, origin) WHERE origin IS NOT NULL;

CREATE TABLE payloads (
    job     INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    job     INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    version INTEGER NOT NULL,                      -- of the item after the event
    event   INTEGER NOT NULL,
    payload TEXT,                                  -- agent id, error, or result as JSON
    at      INTEGER NOT NULL,
    cause   TEXT,
    PRIMARY KEY (job, seq, version)
) STRICT, WITHOUT ROWID;

-- Output of attempts that printed anything. `blob` is NULL, or the length of the file that holds it.
CREATE TABLE attempts (
    job          INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    stdout       BLOB NOT NULL,
    stdout_blob  INTEGER,
    stdout_total INTEGER NOT NULL,
    stderr       BLOB NOT NULL,
    stderr_blob  INTEGER,
    stderr_total INTEGER NOT NULL,
    PRIMARY KEY (job, seq, attempt)
) STRICT;

CREATE TABLE skipped (
    job      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    place    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;
