-- Schema version 1. A row's `job` is jobs.id; `seq` is an item's position in its job, from 1. Times are microseconds
-- since 1970, as they were given; only leases are the server's own time. What may hold a NUL, or quotes what does, is
-- bytea: text cannot. Ids and names compare byte by byte, whatever the database's collation is or becomes.

-- One row. Whoever makes a job holds it, and so the next number.
CREATE TABLE meta (
    program   text NOT NULL,
    version   integer NOT NULL,
    identity  text NOT NULL,
    jobs_made bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE jobs (
    id          bigint PRIMARY KEY,
    name        text COLLATE "C" NOT NULL UNIQUE,
    spec        text NOT NULL,
    created_at  bigint NOT NULL,
    digest      text,                              -- NULL while submitting
    input_items bigint NOT NULL DEFAULT 0,         -- items up to this seq are the input
    control     smallint NOT NULL DEFAULT 0,       -- 0 run, 1 pause, 2 cancel
    finished    boolean NOT NULL DEFAULT false     -- somebody has noted that no item will change any more
);

-- A job's counts are the sums of its sixteen rows. Each connection changes one of them, so that writers need not wait for
-- each other; one alone may be negative. They are there as long as the job is. Changing no index, an update stays in
-- its page, which has the room.
CREATE TABLE counts (
    job           bigint NOT NULL,
    shard         smallint NOT NULL,
    pending       bigint NOT NULL DEFAULT 0,
    in_progress   bigint NOT NULL DEFAULT 0,
    completed     bigint NOT NULL DEFAULT 0,
    failed        bigint NOT NULL DEFAULT 0,
    dead_lettered bigint NOT NULL DEFAULT 0,
    open_letters  bigint NOT NULL DEFAULT 0,
    skipped       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (job, shard)
) WITH (fillfactor = 25);

CREATE TABLE items (
    job      bigint NOT NULL,
    seq      bigint NOT NULL,
    id       text COLLATE "C" NOT NULL,
    version  bigint NOT NULL DEFAULT 0,            -- events seen
    state    smallint NOT NULL DEFAULT 0,
    attempts bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    text     bytea,                                -- agent id or error
    at       bigint,                               -- started_at or dlq_at
    result   text,
    crashes  bigint NOT NULL DEFAULT 0,
    spawned  boolean NOT NULL DEFAULT false,
    run_at   bigint NOT NULL DEFAULT 0,            -- 0: at once, before all others
    origin   text COLLATE "C",                     -- id of the dead letter it was submitted anew for
    dropped  boolean NOT NULL DEFAULT false,       -- a dead letter that was dismissed
    worker   bytea,                                -- who has it, while it is in progress or failed
    PRIMARY KEY (job, seq)
);

CREATE INDEX items_due ON items (job, run_at, seq) WHERE state = 0;
CREATE INDEX items_held ON items (job, seq) WHERE state IN (1, 3);
CREATE INDEX items_dead ON items (job, seq) WHERE state = 4;
CREATE INDEX items_by_origin ON items (job, origin) WHERE origin IS NOT NULL;

-- Every item is updated twice at least, and what an update leaves behind in `items_due` is in the way of the next claims.
ALTER TABLE items SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);

-- An item as it was submitted. Apart, because it never changes: an update of an item writes each of its indexes anew, and
-- one by id would be the dearest of them.
CREATE TABLE payloads (
    job     bigint NOT NULL,
    seq     bigint NOT NULL,
    id      text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    PRIMARY KEY (job, seq)
);

CREATE UNIQUE INDEX payloads_by_id ON payloads (job, id);

CREATE TABLE history (
    job     bigint NOT NULL,
    seq     bigint NOT NULL,
    version bigint NOT NULL,                       -- of the item after the event
    event   smallint NOT NULL,
    payload bytea,                                 -- agent id, error, or result as JSON
    at      bigint NOT NULL,
    cause   text,
    PRIMARY KEY (job, seq, version)
);

-- Output of attempts that printed anything. `blob` is NULL, or the length of the blob that holds it.
CREATE TABLE attempts (
    job          bigint NOT NULL,
    seq          bigint NOT NULL,
    attempt      bigint NOT NULL,
    stdout       bytea NOT NULL,
    stdout_blob  bigint,
    stdout_total bigint NOT NULL,
    stderr       bytea NOT NULL,
    stderr_blob  bigint,
    stderr_total bigint NOT NULL,
    PRIMARY KEY (job, seq, attempt)
);

-- Output too long for a row. A blob is there once it has a row in `blobs`; its pieces are those of the same writer. Other
-- pieces are of writers that are at work, or have died.
CREATE TABLE blobs (
    job     bigint NOT NULL,
    seq     bigint NOT NULL,
    attempt bigint NOT NULL,
    stream  smallint NOT NULL,                     -- 0 stdout, 1 stderr
    writer  bigint NOT NULL,
    length  bigint NOT NULL,
    PRIMARY KEY (job, seq, attempt, stream)
);

CREATE TABLE pieces (
    job     bigint NOT NULL,
    seq     bigint NOT NULL,
    attempt bigint NOT NULL,
    stream  smallint NOT NULL,
    writer  bigint NOT NULL,
    part    bigint NOT NULL,                       -- from 0
    bytes   bytea NOT NULL,
    PRIMARY KEY (job, seq, attempt, stream, writer, part)
);

CREATE TABLE skipped (
    job      bigint NOT NULL,
    position bigint NOT NULL,
    place    bytea NOT NULL,
    reason   bytea NOT NULL,
    PRIMARY KEY (job, position)
);

-- Who works on a job, a row for each worker and not for each item. A worker without a row has nothing.
CREATE TABLE workers (
    job        bigint NOT NULL,
    name       bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (job, name)
) WITH (fillfactor = 50);

-- Who holds a job's lock, as its holder says. It holds it if that backend does.
CREATE TABLE runners (
    job     bigint PRIMARY KEY,
    backend integer NOT NULL,
    runner  text NOT NULL
);
