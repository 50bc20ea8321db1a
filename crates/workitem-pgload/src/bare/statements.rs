//! What the store sends, in its words.

/// As the store sets up a connection.
pub const SETTINGS: &str = "
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET enable_incremental_sort = off;
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET max_parallel_workers_per_gather = 0; SET jit = off;
    SET synchronous_commit = on";
pub const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
pub const SEALED: &str = "SELECT id, name, digest IS NOT NULL FROM jobs WHERE id = $1";
pub const DUE: &str = "
    SELECT seq, run_at, until, version FROM due
    WHERE job = $1 AND run_at <= $2 AND (run_at, seq) > ($3, $4)
    ORDER BY run_at, seq LIMIT $5 FOR UPDATE SKIP LOCKED";
pub const TAKE: &str = "
    DELETE FROM due d USING unnest($2::bigint[], $3::bigint[]) AS n (run_at, seq) CROSS JOIN LATERAL
    (SELECT ctid FROM due WHERE job = $1 AND run_at = n.run_at AND seq = n.seq OFFSET 0) AS place
    WHERE d.ctid = place.ctid";
pub const SHORTEN: &str = "UPDATE due SET seq = $4 WHERE job = $1 AND run_at = $2 AND seq = $3";
pub const ITEMS: &str = "
    SELECT i.seq, i.id, n.version, coalesce(s.attempts, 0), coalesce(s.failures, 0), i.payload
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS n (first, last, version)
    CROSS JOIN LATERAL
        (SELECT * FROM items WHERE job = $1 AND seq BETWEEN n.first AND n.last ORDER BY seq OFFSET 0) AS i
    LEFT JOIN LATERAL
        (SELECT * FROM states WHERE n.version > 0 AND job = $1 AND seq = i.seq OFFSET 0) AS s ON true
    WHERE coalesce(s.version, 0) = n.version AND coalesce(s.state, 0) = 0";
pub const NEXT: &str =
    "SELECT run_at FROM due WHERE job = $1 AND (run_at, seq) > ($2, $3) ORDER BY run_at, seq LIMIT 1";
pub const LEASE: &str = "
    INSERT INTO workers (job, name, expires_at)
    VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond')
    ON CONFLICT (job, name) DO UPDATE SET expires_at = greatest(workers.expires_at, excluded.expires_at)";
pub const HOLD: &str = "
    INSERT INTO claims (job, seq, until, version, worker, at, spawned)
    SELECT $1::bigint, n.seq, n.until, n.version, $2::bytea, $3::bigint, n.spawned
    FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) AS n (seq, until, version, spawned)";
pub const ORIGINS: &str =
    "SELECT 1 FROM items WHERE job = $1 AND seq BETWEEN $2 AND $3 AND origin IS NOT NULL LIMIT 1";
pub const STATES: &str = "
    INSERT INTO states (job, seq, version, state, attempts, failures, text, at, crashes, run_at, worker)
    SELECT n.job, n.seq, n.version, n.state, n.attempts, n.failures, n.text, n.at, n.crashes, n.run_at,
        CASE WHEN n.state = 3 THEN (SELECT c.worker FROM claims c WHERE c.job = n.job
        AND c.seq BETWEEN n.seq - 127 AND n.seq AND c.until >= n.seq AND c.version = n.was LIMIT 1) END
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::bigint[], $7::bigint[],
        $8::bytea[], $9::bigint[], $10::bigint[], $11::bigint[])
        AS n (job, seq, was, version, state, attempts, failures, text, at, crashes, run_at)
    ON CONFLICT DO NOTHING";
pub const EVENTS: &str = "
    INSERT INTO history (job, seq, version, event, payload, at, cause)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bytea[], $6::bigint[], $7::text[])";
pub const COUNTS: &str = "
    UPDATE counts SET pending = pending + $3, in_progress = in_progress + $4, completed = completed + $5,
    failed = failed + $6, dead_lettered = dead_lettered + $7, open_letters = open_letters + $8,
    skipped = skipped + $9 WHERE job = $1 AND shard = $2";
