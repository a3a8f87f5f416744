-- What users look at: sources, copies and the status of both.

CREATE FUNCTION anabranch.snapshot_holder(OUT holder text, OUT since timestamptz, OUT pid int, OUT remedy text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT held.holder, held.since, held.pid, held.remedy
  FROM (SELECT format('process %s of role %I (%s)', a.pid, a.usename, coalesce(nullif(a.application_name, ''), a.backend_type)),
               a.xact_start, a.pid, format('SELECT pg_terminate_backend(%s)', a.pid), age(a.backend_xmin)
        FROM pg_stat_activity AS a
        WHERE a.backend_xmin IS NOT NULL AND a.datname = current_database() AND a.backend_type <> 'walsender'
        UNION ALL
        SELECT format('prepared transaction "%s"', p.gid), p.prepared, NULL, format('ROLLBACK PREPARED %L', p.gid), age(p.transaction)
        FROM pg_prepared_xacts AS p WHERE p.database = current_database()) AS held (holder, since, pid, remedy, transactions)
  WHERE held.since < clock_timestamp() - interval '1 minute'
  ORDER BY held.transactions DESC, held.since
  LIMIT 1
$$;
COMMENT ON FUNCTION anabranch.snapshot_holder() IS
  'who keeps the oldest row versions from being removed, if for more than a minute';

CREATE VIEW anabranch.sources AS
SELECT s.name, s.slot, s.publication, s.system_identifier, s.timeline,
       s.lsn, s.commit_time, s.applied_at, s.applied_transactions, s.applied_rows,
       age.current_as_of,
       pg_catalog.pg_wal_lsn_diff(here.lsn, s.lsn)::bigint AS lag_bytes,
       -- Less than 1 MB behind is level, as the server writes WAL of its own all the time; but not for long.
       CASE WHEN pg_catalog.pg_wal_lsn_diff(here.lsn, s.lsn) < 1048576 AND now_running.it_is
                 AND age.current_as_of > pg_catalog.clock_timestamp() - interval '10 s' THEN interval '0'
         ELSE pg_catalog.clock_timestamp() - age.current_as_of END AS lag,
       k.confirmed_flush_lsn AS confirmed_lsn, coalesce(k.active, false) AS slot_active, k.wal_status,
       pg_catalog.pg_wal_lsn_diff(here.lsn, k.restart_lsn)::bigint AS kept_wal_bytes,
       now_running.it_is AS sidecar_running,
       h.seen_at, s.sidecar_host, s.sidecar_pid, s.sidecar_version, s.started_at,
       CASE WHEN now_running.it_is THEN h.waiting END AS waiting
FROM anabranch.source AS s
CROSS JOIN (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                        ELSE pg_catalog.pg_current_wal_lsn() END) AS here (lsn)
LEFT JOIN anabranch.heartbeat AS h ON h.source = s.name
LEFT JOIN pg_catalog.pg_replication_slots AS k ON k.slot_name = s.slot
CROSS JOIN LATERAL (SELECT greatest(s.commit_time, CASE WHEN s.lsn >= h.mark_lsn THEN h.marked_at ELSE h.passed_at END))
  AS age (current_as_of)
CROSS JOIN LATERAL (SELECT coalesce(h.seen_at > pg_catalog.clock_timestamp() - interval '10 s', false)) AS now_running (it_is);
COMMENT ON VIEW anabranch.sources IS 'where the changes come from, how far they have been applied, and which sidecar does it';
COMMENT ON COLUMN anabranch.sources.name IS 'home: this database';
COMMENT ON COLUMN anabranch.sources.slot IS 'replication slot the changes are read from';
COMMENT ON COLUMN anabranch.sources.publication IS 'publication that selects the tables';
COMMENT ON COLUMN anabranch.sources.system_identifier IS 'of the cluster';
COMMENT ON COLUMN anabranch.sources.timeline IS 'of the cluster when the sidecar last started';
COMMENT ON COLUMN anabranch.sources.lsn IS 'end of the last transaction that is in all live copies';
COMMENT ON COLUMN anabranch.sources.commit_time IS 'when that transaction was committed';
COMMENT ON COLUMN anabranch.sources.applied_at IS 'when its batch was applied';
COMMENT ON COLUMN anabranch.sources.applied_transactions IS 'transactions applied since the source exists';
COMMENT ON COLUMN anabranch.sources.applied_rows IS 'changes applied since the source exists';
COMMENT ON COLUMN anabranch.sources.current_as_of IS 'everything committed before is in all live copies';
COMMENT ON COLUMN anabranch.sources.lag_bytes IS 'WAL written since lsn, of whatever kind';
COMMENT ON COLUMN anabranch.sources.lag IS 'how far the live copies are behind in time; 0 when level, NULL when nothing is known of it';
COMMENT ON COLUMN anabranch.sources.confirmed_lsn IS 'what the slot may forget';
COMMENT ON COLUMN anabranch.sources.slot_active IS 'whether somebody reads the slot now';
COMMENT ON COLUMN anabranch.sources.wal_status IS 'of the slot: reserved, extended, unreserved or lost; NULL: there is no such slot';
COMMENT ON COLUMN anabranch.sources.kept_wal_bytes IS 'WAL that the slot keeps on disk';
COMMENT ON COLUMN anabranch.sources.sidecar_running IS 'a sign of life was seen within 10 s';
COMMENT ON COLUMN anabranch.sources.seen_at IS 'last sign of life of the sidecar';
COMMENT ON COLUMN anabranch.sources.sidecar_host IS 'host it runs on';
COMMENT ON COLUMN anabranch.sources.sidecar_pid IS 'its process id there';
COMMENT ON COLUMN anabranch.sources.sidecar_version IS 'its version';
COMMENT ON COLUMN anabranch.sources.started_at IS 'when it started';
COMMENT ON COLUMN anabranch.sources.waiting IS 'what it has been waiting for for more than a second; NULL: nothing';

CREATE VIEW anabranch.copies AS
SELECT d.copy, v.relowner::pg_catalog.regrole AS owner, coalesce(p.state, 'unbound') AS state, d.requested, d.class,
       at.lsn, CASE p.state WHEN 'live' THEN home.current_as_of END AS current_as_of,
       pg_catalog.pg_wal_lsn_diff(here.lsn, at.lsn)::bigint AS lag_bytes,
       p.fill_rows, greatest(p.fill_rows_total, p.fill_rows) AS fill_rows_total, rate.fill_rows_per_second,
       CASE WHEN p.state = 'filling' THEN pg_catalog.make_interval(
         secs => greatest(p.fill_rows_total - p.fill_rows, 0) / nullif(rate.fill_rows_per_second, 0)) END AS fill_time_left,
       p.sqlstate, p.reason, p.failed_lsn,
       -- An unbound copy's columns may have other numbers than before the dump; resume finds them.
       CASE WHEN p.copy IS NOT NULL THEN
         (SELECT pg_catalog.min(coalesce(anabranch.misfits(d.copy, s.relation, s.columns, s.column_definitions),
                                         anabranch.unreadable(v.relowner, s.relation, s.columns)))
          FROM anabranch.definition_source AS s WHERE s.copy = d.copy) END AS problem,
       ARRAY(SELECT s.relation FROM anabranch.definition_source AS s WHERE s.copy = d.copy ORDER BY s.ordinal) AS sources,
       d.state AS state_table, d.id, d.created_at, p.live_since, p.changed_at, d.query,
       proof.proved_at, pg_catalog.clock_timestamp() - proof.proved_at AS proof_age, proof.run AS proof_run, proof.left_over AS proof_differing,
       d.verify_every, d.on_partition_removed, kept.partitions AS removed_partitions, kept.since AS removed_since
FROM anabranch.definition AS d
CROSS JOIN (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                        ELSE pg_catalog.pg_current_wal_lsn() END) AS here (lsn)
LEFT JOIN anabranch.progress AS p ON p.copy = d.copy
LEFT JOIN anabranch.sources AS home ON home.name = 'home'
LEFT JOIN pg_catalog.pg_class AS v ON v.oid = d.copy
CROSS JOIN LATERAL (SELECT CASE p.state WHEN 'live' THEN greatest(p.lsn, home.lsn) ELSE p.lsn END) AS at (lsn)
CROSS JOIN LATERAL (SELECT CASE WHEN p.state = 'filling' THEN
    p.fill_rows / nullif(extract(epoch FROM pg_catalog.clock_timestamp() - p.fill_started_at), 0)::float8 END)
  AS rate (fill_rows_per_second)
CROSS JOIN LATERAL (SELECT nullif(count(*), 0) AS partitions, min(r.removed_at) AS since FROM anabranch.retained AS r WHERE r.copy = d.copy) AS kept
-- Of what the copy holds now: filled anew it is unproved.
LEFT JOIN LATERAL (
  SELECT v.run, v.proved_at,
         v.differing - (SELECT count(*) FROM anabranch.difference AS f WHERE f.run = v.run AND f.held_by = 'copy' AND f.outcome IN ('repaired', 'overwritten')) AS left_over
  FROM anabranch.verification AS v
  WHERE v.copy = d.copy AND v.definition = d.id AND v.mode IN ('full', 'sketch') AND v.proved_at IS NOT NULL AND v.live_since = p.live_since
  ORDER BY v.run DESC LIMIT 1) AS proof ON true;
COMMENT ON VIEW anabranch.copies IS 'every copy: its state, its position, its query';
COMMENT ON COLUMN anabranch.copies.copy IS 'the view users read';
COMMENT ON COLUMN anabranch.copies.owner IS 'its owner, as whom its query runs';
COMMENT ON COLUMN anabranch.copies.state IS 'waiting, filling, catching_up, live, paused, failed, stale, or unbound: restored from a dump and not filled yet';
COMMENT ON COLUMN anabranch.copies.requested IS 'what the owner wants: run or pause';
COMMENT ON COLUMN anabranch.copies.class IS 'linear: groups with counters; rows: re-keyed rows';
COMMENT ON COLUMN anabranch.copies.lsn IS 'end of the last transaction that is in the copy';
COMMENT ON COLUMN anabranch.copies.current_as_of IS 'everything committed before is in the copy; NULL while it is not live';
COMMENT ON COLUMN anabranch.copies.lag_bytes IS 'WAL written since lsn, of whatever kind';
COMMENT ON COLUMN anabranch.copies.fill_rows IS 'source rows read by the fill';
COMMENT ON COLUMN anabranch.copies.fill_rows_total IS 'source rows to read, estimated';
COMMENT ON COLUMN anabranch.copies.fill_rows_per_second IS 'mean rate of the fill so far';
COMMENT ON COLUMN anabranch.copies.fill_time_left IS 'estimated from that rate';
COMMENT ON COLUMN anabranch.copies.sqlstate IS 'error code that set the copy aside';
COMMENT ON COLUMN anabranch.copies.reason IS 'why it was set aside';
COMMENT ON COLUMN anabranch.copies.failed_lsn IS 'end of the transaction that could not be applied';
COMMENT ON COLUMN anabranch.copies.problem IS 'what stands in the way: a source changed beyond what the copy was defined for, or a right that its owner has lost';
COMMENT ON COLUMN anabranch.copies.sources IS 'tables it reads';
COMMENT ON COLUMN anabranch.copies.state_table IS 'the table below the view';
COMMENT ON COLUMN anabranch.copies.id IS 'short number, part of names of slots and origins';
COMMENT ON COLUMN anabranch.copies.created_at IS 'when it was created';
COMMENT ON COLUMN anabranch.copies.live_since IS 'when it last became live';
COMMENT ON COLUMN anabranch.copies.changed_at IS 'when its state last changed';
COMMENT ON COLUMN anabranch.copies.query IS 'the defining query as its author wrote it';
COMMENT ON COLUMN anabranch.copies.proved_at IS 'when it was last compared with its definition as a whole; NULL: never since it was filled';
COMMENT ON COLUMN anabranch.copies.proof_age IS 'how long ago that was';
COMMENT ON COLUMN anabranch.copies.proof_run IS 'the verification that did it';
COMMENT ON COLUMN anabranch.copies.proof_differing IS 'how many of its keys differed, and were not repaired in that run; 0: it was equal';
COMMENT ON COLUMN anabranch.copies.verify_every IS 'how old the proof may become before the copy is verified again; NULL: it is verified on request alone';
COMMENT ON COLUMN anabranch.copies.on_partition_removed IS 'what becomes of it when a partition with rows is detached or dropped: stale or keep';
COMMENT ON COLUMN anabranch.copies.removed_partitions IS 'how many partitions are gone whose rows it keeps; NULL: none';
COMMENT ON COLUMN anabranch.copies.removed_since IS 'when the first of them was removed';

-- The one place where it is judged how bad a thing is. The program adds what only it can know: its own version, and how
-- near the WAL kept is to the bound in its settings.
CREATE VIEW anabranch.findings AS
SELECT found.kind, found.name, found.state, (ARRAY['ok', 'warning', 'critical'])[found.severity] AS level, found.lag_bytes,
       found.subject, found.problem, found.remedy
FROM (
  SELECT 'source', coalesce(s.name, 'home'),
         CASE WHEN s.name IS NULL THEN 'never started' WHEN s.sidecar_running THEN 'running' ELSE 'stopped' END,
         checks.severity, s.lag_bytes, checks.subject, checks.problem, checks.remedy
  -- Without copies nothing is out of date.
  FROM (SELECT CASE WHEN EXISTS (SELECT FROM anabranch.definition) THEN 3 ELSE 2 END, pg_catalog.pg_is_in_recovery())
    AS database (severity, is_standby)
  LEFT JOIN anabranch.sources AS s ON true
  LEFT JOIN anabranch.snapshot_holder() AS h ON true
  -- Its query is shown to those who may see it.
  LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = h.pid AND a.query <> '<insufficient privilege>'
  CROSS JOIN LATERAL (VALUES
    (s.name IS NULL AND NOT EXISTS (SELECT FROM anabranch.publisher), database.severity, 'sidecar',
     'no sidecar has run yet', 'anabranch init, then anabranch run'),
    (NOT s.sidecar_running, database.severity, 'sidecar',
     pg_catalog.format('the sidecar is not running: last seen %s, on host %s, process %s',
                       s.seen_at::timestamptz(0), s.sidecar_host, s.sidecar_pid),
     'start it: anabranch run; its log says why it stopped'),
    (s.sidecar_running AND NOT s.slot_active AND s.wal_status <> 'lost' AND NOT database.is_standby, 2, 'sidecar',
     'the sidecar does not read its slot', 'see the sidecar''s log'),
    (s.waiting IS NOT NULL, 2, 'sidecar', 'the sidecar waits: ' || s.waiting,
     CASE WHEN s.waiting ~ 'not visible'
       THEN 'bring the synchronous standby back, or take it out of synchronous_standby_names and reload'
       ELSE 'see the sidecar''s log' END),
    (s.name IS NOT NULL AND s.wal_status IS NULL AND NOT database.is_standby, 3, 'slot',
     pg_catalog.format('replication slot "%s" does not exist: changes made since it went are lost to the copies', s.slot),
     'anabranch init, then anabranch run; it names the copies to fill anew'),
    (s.wal_status = 'lost', 3, 'slot',
     pg_catalog.format('replication slot "%s" was invalidated: it passed max_slot_wal_keep_size, and WAL it needed is gone',
                       s.slot),
     pg_catalog.format('SELECT pg_drop_replication_slot(%L), then anabranch init and anabranch run; '
                       'fill the copies anew with anabranch.rebuild', s.slot)),
    (s.wal_status = 'unreserved', 3, 'slot',
     pg_catalog.format('replication slot "%s" is about to lose WAL that it needs', s.slot),
     'start the sidecar, or raise max_slot_wal_keep_size and reload'),
    (s.confirmed_lsn > s.lsn, 3, 'slot',
     pg_catalog.format('replication slot "%s" is confirmed to %s, beyond what has been applied (%s): '
                       'changes are lost to the copies', s.slot, s.confirmed_lsn, s.lsn),
     'restart anabranch run; it names the copies to fill anew'),
    (s.sidecar_running AND s.lag >= interval '30 s', CASE WHEN s.lag < interval '10 min' THEN 2 ELSE 3 END, 'lag',
     pg_catalog.format('live copies are %s behind (%s of WAL)',
                       pg_catalog.to_char(pg_catalog.make_interval(secs => extract(epoch FROM s.lag)::float8), 'HH24:MI:SS'),
                       pg_catalog.pg_size_pretty(s.lag_bytes)),
     'look at rows/s in anabranch status and at long transactions; '
     'one very large transaction shows as a lag until it has been applied'),
    (h.holder IS NOT NULL, 2, 'snapshot',
     pg_catalog.format('%s has held a snapshot since %s; old row versions cannot be removed%s', h.holder, h.since::timestamptz(0),
                       '. Its query: '
                       || nullif(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 200), '')),
     pg_catalog.format('end it if it is forgotten: %s', h.remedy)),
    (true, 1, NULL, NULL, NULL)) AS checks (holds, severity, subject, problem, remedy)
  WHERE checks.holds
  UNION ALL
  SELECT 'source', s.name, CASE WHEN s.sidecar_running THEN 'running' ELSE 'stopped' END, 2, s.lag_bytes,
         'prepared transaction',
         pg_catalog.format('%L of role %I has been prepared since %s; the slot keeps all WAL since',
                           p.gid, p.owner, p.prepared::timestamptz(0)),
         pg_catalog.format('COMMIT PREPARED %1$L; or ROLLBACK PREPARED %1$L', p.gid)
  FROM anabranch.sources AS s
  JOIN pg_catalog.pg_prepared_xacts AS p
    ON p.database = pg_catalog.current_database() AND p.prepared < pg_catalog.clock_timestamp() - interval '5 min'
  UNION ALL
  SELECT 'source', s.name, 'stopped', 2, s.lag_bytes, 'fill slot',
         pg_catalog.format('replication slot "%s" belongs to no copy any more and keeps %s of WAL', k.slot_name,
                           pg_catalog.pg_size_pretty(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), k.restart_lsn))),
         pg_catalog.format('anabranch run drops it; or SELECT pg_drop_replication_slot(%L)', k.slot_name)
  FROM anabranch.sources AS s
  JOIN pg_catalog.pg_replication_slots AS k
    ON k.slot_name ~ ('^' || s.slot || '_fill_[0-9]+$') AND k.database = pg_catalog.current_database() AND NOT k.active
  WHERE NOT s.sidecar_running AND NOT pg_catalog.pg_is_in_recovery()
    AND NOT EXISTS (SELECT FROM anabranch.definition AS d JOIN anabranch.progress AS p ON p.copy = d.copy
                    WHERE k.slot_name = s.slot || '_fill_' || d.id
                      AND p.state IN ('waiting', 'filling', 'catching_up', 'paused'))
  UNION ALL
  SELECT 'publisher', p.source, CASE WHEN p.running THEN p.state ELSE 'stopped' END, checks.severity, p.lag_bytes,
         'publishing', checks.problem, checks.remedy
  FROM anabranch.publishers AS p
  CROSS JOIN LATERAL (VALUES
    (p.state = 'stopped' AND p.reason IS NOT NULL, 3, p.reason, 'see the end of the problem, and docs/kafka.md'),
    (p.state <> 'stopped' AND NOT p.running OR p.state = 'stopped' AND p.reason IS NULL, 3,
     pg_catalog.format('nothing is published: the sidecar was last seen %s, on host %s, process %s',
                       p.seen_at::timestamptz(0), p.sidecar_host, p.sidecar_pid),
     'start it: anabranch run; its log says why it stopped'),
    (p.running AND p.state = 'waiting', 2, p.reason, 'look at the brokers; publishing goes on by itself'),
    (p.dead_letters > 0, 2, pg_catalog.format('%s values or messages were set aside', p.dead_letters),
     'SELECT * FROM anabranch.dead_letters'),
    (true, 1, NULL, NULL)) AS checks (holds, severity, problem, remedy)
  WHERE checks.holds
  UNION ALL
  SELECT 'index', x.index::text, x.state, checks.severity, x.lag_bytes, x.index::text, checks.problem, checks.remedy
  FROM anabranch.indexes AS x
  CROSS JOIN (SELECT coalesce(bool_or(s.sidecar_running), false) FROM anabranch.sources AS s) AS sidecar (running)
  CROSS JOIN LATERAL (VALUES
    (x.state = 'unbound', 3, 'restored from a dump, and not filled since', pg_catalog.format('SELECT anabranch.resume(%L)', x.index)),
    (x.problem IS NOT NULL, 3, pg_catalog.format('nothing can be delivered since %s: %s', x.problem_since::timestamptz(0), x.problem), x.remedy),
    (x.refused > 0, 2, pg_catalog.format('%s of its documents were set aside', x.refused),
     pg_catalog.format('SELECT * FROM anabranch.dead_letters WHERE relation = %L; each is sent again when its row changes', x.index)),
    (x.state IN ('filling', 'rebuilding'), 1, pg_catalog.format('%s: %s documents sent of about %s', x.state, x.swept, greatest(x.rows_estimated, x.swept)), NULL),
    (x.state = 'live' AND x.problem IS NULL AND sidecar.running AND x.current_as_of < pg_catalog.clock_timestamp() - interval '30 s', 2,
     pg_catalog.format('what readers find is of %s', x.current_as_of::timestamptz(0)), 'look at the engine''s load, and at anabranch.indexes'),
    (true, 1, NULL, NULL)) AS checks (holds, severity, problem, remedy)
  WHERE checks.holds
  UNION ALL
  SELECT 'copy', c.copy::text, c.state, checks.severity, c.lag_bytes, c.copy::text, checks.problem, checks.remedy
  FROM anabranch.copies AS c
  CROSS JOIN LATERAL (
    SELECT * FROM (VALUES
      (c.state = 'unbound', 3, 'restored from a dump and not filled since',
       pg_catalog.format('SELECT anabranch.resume(%L)', c.copy)),
      (c.state IN ('failed', 'stale'), 3,
       concat_ws(': ', c.sqlstate, c.reason) || coalesce(' (in the transaction that ends at ' || c.failed_lsn || ')', ''),
       CASE WHEN c.problem IS NOT NULL
         THEN pg_catalog.format('undo that and SELECT anabranch.rebuild(%1$L), '
                                'or give it a query that fits: SELECT anabranch.alter_aggregate_table(%1$L, ...)', c.copy)
         ELSE CASE c.state WHEN 'failed' THEN 'put the cause right, then ' ELSE '' END
              || pg_catalog.format('SELECT anabranch.rebuild(%L)', c.copy) END),
      (c.problem IS NOT NULL, 3, c.problem,
       pg_catalog.format('undo that, or give it a query that fits: SELECT anabranch.alter_aggregate_table(%L, ...)', c.copy)),
      (c.proof_differing > 0 AND NOT EXISTS (
         SELECT FROM anabranch.verification AS v
         WHERE v.copy = c.copy AND v.run > c.proof_run AND v.state = 'done' AND v.repairs AND v.proved_at IS NOT NULL), 3,
       pg_catalog.format('differs from its definition in %s keys (verification %s)', c.proof_differing, c.proof_run),
       pg_catalog.format('SELECT * FROM anabranch.differences WHERE run = %1$s, then SELECT anabranch.repair(%1$s)', c.proof_run)),
      (c.proof_age > 2 * c.verify_every + interval '1 min', 2,
       pg_catalog.format('was last proved at %s, and is to be every %s', c.proved_at::timestamptz(0), c.verify_every),
       'see anabranch.verifications; a higher duty, or a longer interval (anabranch.verify_every)'),
      (c.state = 'paused' AND c.requested = 'pause', 2, 'paused on request',
       pg_catalog.format('SELECT anabranch.resume(%L)', c.copy)),
      (c.state = 'paused', 2, 'waits for the sidecar to resume it', 'see that the sidecar runs'),
      (c.state = 'catching_up' AND c.sqlstate IS NOT NULL
       AND c.changed_at < pg_catalog.clock_timestamp() - interval '1 min', 2,
       pg_catalog.format('has been tried apart from the others since %s: %s',
                         c.changed_at::timestamptz(0), concat_ws(': ', c.sqlstate, c.reason)),
       pg_catalog.format('put the cause right; or SELECT anabranch.pause(%1$L), '
                         'then SELECT anabranch.drop_aggregate_table(%1$L)', c.copy)),
      (c.state IN ('waiting', 'filling', 'catching_up'), 1,
       CASE c.state WHEN 'waiting' THEN 'waits to be filled'
         WHEN 'filling' THEN pg_catalog.format('%s of about %s rows%s', c.fill_rows, c.fill_rows_total,
                                               ', ' || pg_catalog.to_char(c.fill_time_left, 'HH24:MI:SS') || ' left')
         ELSE 'applies what was written during the fill' END, NULL),
      (c.removed_partitions > 0, 1,
       pg_catalog.format('keeps rows of %s partitions that were removed, the first at %s', c.removed_partitions,
                         c.removed_since::timestamptz(0)), NULL),
      (true, 1, NULL, NULL)) AS checks (holds, severity, problem, remedy)
    WHERE checks.holds ORDER BY checks.severity DESC, checks.problem LIMIT 1) AS checks
) AS found (kind, name, state, severity, lag_bytes, subject, problem, remedy)
ORDER BY found.severity, found.kind DESC, found.name;
COMMENT ON VIEW anabranch.findings IS 'everything that is not as it should be, the worst last; sources and copies have a row of level ok as well, copies only if nothing is wrong';
COMMENT ON COLUMN anabranch.findings.kind IS 'source, publisher, copy or index';
COMMENT ON COLUMN anabranch.findings.name IS 'name of the source, copy or index';
COMMENT ON COLUMN anabranch.findings.state IS 'as in anabranch.status';
COMMENT ON COLUMN anabranch.findings.level IS 'ok, warning or critical';
COMMENT ON COLUMN anabranch.findings.lag_bytes IS 'WAL written since its position, of whatever kind';
COMMENT ON COLUMN anabranch.findings.subject IS 'of a source, what of it: sidecar, slot, lag, snapshot, prepared transaction, fill slot; of a copy or an index, its name';
COMMENT ON COLUMN anabranch.findings.problem IS 'what is wrong; of level ok: what it is doing';
COMMENT ON COLUMN anabranch.findings.remedy IS 'what to do about it: a statement or a command';

CREATE VIEW anabranch.status AS
SELECT worst.kind, worst.name, worst.state, worst.level, worst.lag_bytes, worst.problem, worst.remedy
FROM (SELECT f.*, levels.severity,
             row_number() OVER (PARTITION BY f.kind, f.name
                                ORDER BY levels.severity DESC, f.subject = 'lag', f.problem) AS place
      FROM anabranch.findings AS f
      CROSS JOIN LATERAL (SELECT pg_catalog.array_position(ARRAY['ok', 'warning', 'critical'], f.level)) AS levels (severity)) AS worst
WHERE worst.place = 1
ORDER BY worst.severity, worst.kind DESC, worst.name;
COMMENT ON VIEW anabranch.status IS 'one row per source and copy with its worst problem and the remedy; the worst stands last';
COMMENT ON COLUMN anabranch.status.kind IS 'source, publisher, copy or index';
COMMENT ON COLUMN anabranch.status.name IS 'name of the source, copy or index';
COMMENT ON COLUMN anabranch.status.state IS 'of a source: never started, running, stopped; of a copy: as in anabranch.copies';
COMMENT ON COLUMN anabranch.status.level IS 'ok, warning or critical';
COMMENT ON COLUMN anabranch.status.lag_bytes IS 'WAL written since its position, of whatever kind';
COMMENT ON COLUMN anabranch.status.problem IS 'what is wrong, or what it is doing';
COMMENT ON COLUMN anabranch.status.remedy IS 'what to do about it: a statement or a command';
