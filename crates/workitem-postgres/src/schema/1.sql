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

-- An item as it was submitted. It never changes: what becomes of it stands in other tables.
CREATE TABLE items (
    job     bigint NOT NULL,
    seq     bigint NOT NULL,
    id      text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    origin  text COLLATE "C",                      -- id of the dead letter it was submitted anew for
    PRIMARY KEY (job, seq)
);

CREATE UNIQUE INDEX items_by_id ON items (job, id);
CREATE INDEX items_by_origin ON items (job, origin) WHERE origin IS NOT NULL;
CREATE INDEX items_anew ON items (job, seq) WHERE origin IS NOT NULL;

-- What has become of an item. Without a row it is as it was submitted: pending, at version 0. There is no row of an item
-- for being in progress: it is pending here, and a claim holds it. So most items are written once, when they are completed.
CREATE TABLE states (
    job      bigint NOT NULL,
    seq      bigint NOT NULL,
    version  bigint NOT NULL DEFAULT 0,            -- events seen
    state    smallint NOT NULL DEFAULT 0,
    attempts bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    text     bytea,                                -- error
    at       bigint,                               -- dlq_at
    crashes  bigint NOT NULL DEFAULT 0,
    run_at   bigint NOT NULL DEFAULT 0,            -- 0: at once, before all others
    dropped  boolean NOT NULL DEFAULT false,       -- a dead letter that was dismissed
    worker   bytea,                                -- whose it was, of an item that has failed
    PRIMARY KEY (job, seq)
);

CREATE INDEX states_failed ON states (job, seq) WHERE state = 3;
CREATE INDEX states_dead ON states (job, seq) WHERE state = 4;

-- The items that are pending and not claimed, each in one range: items in a row that are due at the same time and have the
-- same version. A range has 128 items at most, so that a claim keeps others from no more than those.
CREATE TABLE due (
    job     bigint NOT NULL,
    run_at  bigint NOT NULL,
    seq     bigint NOT NULL,                       -- the first
    until   bigint NOT NULL,                       -- the last
    version bigint NOT NULL,
    PRIMARY KEY (job, run_at, seq),
    CHECK (until BETWEEN seq AND seq + 127)
);

-- What was claimed, a row for each range and not for each item. A claim holds those of its items that are pending and
-- still have the version at which they were claimed: these are in progress. A row that holds none is removed by and by.
CREATE TABLE claims (
    job     bigint NOT NULL,
    seq     bigint NOT NULL,                       -- the first
    until   bigint NOT NULL,                       -- the last
    version bigint NOT NULL,                       -- of the items when they were claimed
    worker  bytea NOT NULL,
    at      bigint NOT NULL,                       -- started_at
    spawned bigint NOT NULL,                       -- items up to this one were handed to slots at once
    PRIMARY KEY (job, seq, version),
    CHECK (until BETWEEN seq AND seq + 127)
);

CREATE INDEX claims_of_worker ON claims (job, worker);

-- A claim takes a range or shortens it, and what it leaves behind in the index is in the way of the next ones.
ALTER TABLE due SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);

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

-- Every item as it is right now. Each part is looked up for each item, whatever the planner thinks of it: OFFSET 0 keeps it
-- from making joins of them.
CREATE VIEW items_now AS
    SELECT i.job, i.seq, i.id, i.origin, c.spawned,
        coalesce(s.version, 0) + CASE WHEN c.worker IS NULL THEN 0 ELSE 1 END AS version,
        CASE WHEN c.worker IS NULL THEN coalesce(s.state, 0::smallint) ELSE 1::smallint END AS state,
        coalesce(s.attempts, 0) + CASE WHEN c.worker IS NULL THEN 0 ELSE 1 END AS attempts,
        coalesce(s.failures, 0) AS failures,
        coalesce(c.worker, s.text) AS text,        -- agent id or error
        coalesce(c.at, s.at) AS at,                -- started_at or dlq_at
        h.payload AS result,
        coalesce(s.crashes, 0) AS crashes,
        CASE WHEN c.worker IS NULL THEN coalesce(s.run_at, 0) ELSE 0 END AS run_at
    FROM items i
    LEFT JOIN LATERAL (SELECT * FROM states WHERE job = i.job AND seq = i.seq OFFSET 0) s ON true
    LEFT JOIN LATERAL (
        SELECT worker, at, i.seq <= spawned AS spawned FROM claims
        WHERE coalesce(s.state, 0) = 0 AND job = i.job AND seq BETWEEN i.seq - 127 AND i.seq AND until >= i.seq
        AND version = coalesce(s.version, 0) LIMIT 1
    ) c ON true
    LEFT JOIN LATERAL (
        SELECT payload FROM history WHERE s.state = 2 AND job = i.job AND seq = i.seq AND version = s.version OFFSET 0
    ) h ON true;

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
