-- What the sidecar calls to deliver the documents of an index.

CREATE FUNCTION anabranch.indexes_to_deliver(OUT copy oid, OUT copy_name text, OUT name text, OUT id int, OUT engine text, OUT options jsonb, OUT owner text,
                                             OUT generation int, OUT columns jsonb, OUT state text) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT d.copy, d.copy::regclass::text, x.name, d.id, x.engine, x.options, x.owner::text, x.generation,
         (SELECT coalesce(jsonb_agg(jsonb_build_object('name', k.name, 'type', k.type, 'is_array', k.is_array) ORDER BY k.number), '[]') FROM anabranch.document_columns(d.copy) AS k),
         p.state
  FROM anabranch.external_index AS x
  JOIN anabranch.definition AS d ON d.copy = x.copy
  JOIN anabranch.progress AS p ON p.copy = d.copy
  JOIN anabranch.index_progress AS i ON i.copy = d.copy
  ORDER BY d.id
$$;
COMMENT ON FUNCTION anabranch.indexes_to_deliver() IS 'every index, for the sidecar';

CREATE FUNCTION anabranch.dropped_indexes(OUT owner text, OUT name text, OUT engine text, OUT options jsonb) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT d.owner::text, d.name, d.engine, d.options FROM anabranch.dropped_index AS d
$$;
COMMENT ON FUNCTION anabranch.dropped_indexes() IS 'indexes whose engines still have them';

CREATE FUNCTION anabranch.index_is_gone(owner text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DELETE FROM anabranch.dropped_index AS d WHERE d.owner = $1::uuid
$$;
COMMENT ON FUNCTION anabranch.index_is_gone(text) IS 'an engine has nothing more of a dropped index';

CREATE FUNCTION anabranch.require_token(token bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM anabranch.source AS s WHERE s.name = 'home' AND s.token = $1) THEN
    PERFORM anabranch.raise_fenced($1);
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.require_token(bigint) IS 'raises AN001 unless the token is the source''s';

CREATE FUNCTION anabranch.begin_deliveries(copy oid, token bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  state regclass;
BEGIN
  PERFORM anabranch.require_token($2);
  SELECT d.state INTO state FROM anabranch.definition AS d JOIN anabranch.external_index AS x ON x.copy = d.copy WHERE d.copy = $1;
  IF state IS NOT NULL AND NOT anabranch.is_watched(state) THEN
    PERFORM anabranch.watch_state($1);
    -- Changes went by unseen.
    UPDATE anabranch.index_progress AS p SET filled = 0, swept_to = NULL, swept = 0 WHERE p.copy = $1;
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.begin_deliveries(oid, bigint) IS 'has the changes of an index noted from now on, unless they are';

CREATE FUNCTION anabranch.pending_behind(copy oid, number bigint, rows_max int, OUT upto bigint, OUT pending bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('SELECT coalesce(max(n.number), $1), count(*) FROM (SELECT k.number FROM %s AS k WHERE k.number > $1 ORDER BY k.number LIMIT $2) AS n',
                 (SELECT x.pending FROM anabranch.external_index AS x WHERE x.copy = $1))
  INTO upto, pending USING $2, $3;
END
$$;
COMMENT ON FUNCTION anabranch.pending_behind(oid, bigint, int) IS 'up to which number the next pending keys behind one go, and how many they are';

-- One lock, taken before the transaction whose snapshot the documents are read in: deliveries of an index, and comparisons with it,
-- follow each other. Who waits for it has a snapshot, too, and gives that up after a second.
CREATE FUNCTION anabranch.take_turn(copy oid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
BEGIN
  PERFORM pg_advisory_lock(1095647576, $1::int);
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END
$$;
COMMENT ON FUNCTION anabranch.take_turn(oid) IS
  'waits for the session''s turn at an index, in which nobody else writes to it; false: not within a second, so it is to be asked again';

CREATE FUNCTION anabranch.end_turn(copy oid) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  SELECT pg_advisory_unlock(1095647576, $1::int)
$$;
COMMENT ON FUNCTION anabranch.end_turn(oid) IS 'gives back what take_turn has taken';

CREATE FUNCTION anabranch.delivery_state(copy oid, rows_max int, OUT live boolean, OUT watched boolean, OUT lsn pg_catalog.pg_lsn, OUT as_of timestamptz,
                                         OUT timeline int, OUT token bigint, OUT number bigint, OUT upto bigint, OUT pending bigint, OUT generation int,
                                         OUT filled int, OUT swept_to text, OUT swept bigint, OUT delivered_lsn pg_catalog.pg_lsn, OUT version bigint,
                                         OUT identity text, OUT refused boolean, OUT frozen boolean, OUT seen text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known anabranch.external_index;
BEGIN
  SELECT * INTO known FROM anabranch.external_index AS x WHERE x.copy = $1;
  SELECT p.state = 'live', anabranch.is_watched(d.state), greatest(p.lsn, s.lsn),
         greatest(s.commit_time, CASE WHEN s.lsn >= h.mark_lsn THEN h.marked_at ELSE h.passed_at END), s.timeline, s.token,
         i.number, known.generation, i.filled, i.swept_to::text, i.swept, i.lsn, i.version, i.identity,
         EXISTS (SELECT FROM anabranch.refused_document AS r WHERE r.copy = $1), i.frozen, i.xmin::text
  INTO live, watched, lsn, as_of, timeline, token, number, generation, filled, swept_to, swept, delivered_lsn, version, identity, refused, frozen, seen
  FROM anabranch.definition AS d
  JOIN anabranch.progress AS p ON p.copy = d.copy
  JOIN anabranch.index_progress AS i ON i.copy = d.copy
  JOIN anabranch.source AS s ON s.name = 'home'
  LEFT JOIN anabranch.heartbeat AS h ON h.source = 'home'
  WHERE d.copy = $1 AND known.copy IS NOT NULL;
  upto := number;
  pending := 0;
  IF live THEN
    SELECT b.upto, b.pending INTO upto, pending FROM anabranch.pending_behind($1, number, $2) AS b;
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.delivery_state(oid, int) IS
  'what a delivery begins with: the copy''s position, what has been delivered, and up to which number the next pending keys go; seen: for record_delivery';

CREATE FUNCTION anabranch.read_documents(copy oid, wanted text, documents text, form text, keys int, rows_max int, bytes_max bigint,
                                         OUT key text, OUT id text, OUT target text, OUT member text, OUT content text, OUT digest text, OUT rows bigint) RETURNS SETOF record
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_read_documents';
COMMENT ON FUNCTION anabranch.read_documents(oid, text, text, text, int, int, bigint) IS
  'runs a query over documents of a copy, its columns those of document_list, as the copy''s owner; wanted: a query for the keys that it may call "wanted", run as the extension''s owner, so that nothing a user wrote may be in it; one row for each key; of a row behind rows_max only the key is looked at; more than one document, and of more than bytes_max, is program_limit_exceeded';

CREATE FUNCTION anabranch.document_form(copy oid, contents boolean) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN NOT $2 THEN 'none' ELSE CASE x.options ->> 'shape' WHEN 'hash' THEN 'hash' WHEN 'sorted_set' THEN 'text' WHEN 'set' THEN 'none' ELSE 'json' END END
  FROM anabranch.external_index AS x WHERE x.copy = $1
$$;
COMMENT ON FUNCTION anabranch.document_form(oid, boolean) IS 'how read_documents makes contents: json (all columns), hash (all columns as strings), text (the last column) or none (empty)';

CREATE FUNCTION anabranch.target_parts(copy oid, OUT literal text, OUT name text, OUT number bigint) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.literal, p.name, p.n
  FROM anabranch.external_index AS x CROSS JOIN LATERAL anabranch.pattern_parts(x.options ->> 'key') WITH ORDINALITY AS p (literal, name, n)
  WHERE x.copy = $1 AND x.options ? 'key'
  UNION ALL
  SELECT x.name, NULL, 0 FROM anabranch.external_index AS x WHERE x.copy = $1 AND NOT x.options ? 'key'
  UNION ALL
  SELECT p.literal, p.name, 2 * l.n + p.n
  FROM anabranch.external_index AS x CROSS JOIN LATERAL unnest(x.key) WITH ORDINALITY AS l (c, n) CROSS JOIN LATERAL (VALUES (':', NULL, 0), (NULL, l.c, 1)) AS p (literal, name, n)
  WHERE x.copy = $1 AND NOT x.options ? 'key' AND l.c IS DISTINCT FROM x.options ->> 'member'
$$;
COMMENT ON FUNCTION anabranch.target_parts(oid) IS 'what the Redis keys of an index are made of: its key pattern, or its name and ":" before each column of the key';

-- The SELECT list that read_documents takes: `keys` is the alias of what has the key's columns, `documents` that of a row of the copy
-- with "anabranch_there".
CREATE FUNCTION anabranch.document_list(copy oid, contents boolean, keys text, documents text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known  anabranch.external_index;
  target text;
  id     text;
BEGIN
  SELECT * INTO STRICT known FROM anabranch.external_index AS x WHERE x.copy = $1;
  -- Several columns: "/" between them, and "\" before one that is meant as itself.
  SELECT CASE count(*) WHEN 0 THEN '''all''' WHEN 1 THEN max(format('%s.%I::text', $3, c))
              ELSE string_agg(format('replace(replace(%s.%I::text, ''\'', ''\\''), ''/'', ''\/'')', $3, c), ' || ''/'' || ' ORDER BY n) END
  INTO id FROM unnest(known.key) WITH ORDINALITY AS l (c, n);
  -- A value is escaped where the next one would not be told from it.
  SELECT string_agg(CASE WHEN p.name IS NULL THEN quote_literal(p.literal) WHEN p.behind IS NULL THEN format('%s.%I::text', $3, p.name)
                         ELSE format('replace(replace(%s.%I::text, ''\'', ''\\''), %L, %L)', $3, p.name, p.behind, '\' || p.behind) END, ' || ' ORDER BY p.n) INTO target
  FROM (SELECT q.literal, q.name, q.n, CASE WHEN q.n < max(q.n) FILTER (WHERE q.name IS NOT NULL) OVER () THEN left(lead(q.literal) OVER (ORDER BY q.n), 1) END AS behind
        FROM anabranch.target_parts($1) AS q (literal, name, n)) AS p;
  RETURN concat_ws(', ', id, coalesce(target, ''''''), CASE WHEN known.options ? 'member' THEN format('%s.%I::text', $3, known.options ->> 'member') ELSE '''''' END,
    $4 || '.anabranch_there', (SELECT string_agg(format('%s.%I', $3, c), ', ' ORDER BY n) FROM unnest(known.key) WITH ORDINALITY AS l (c, n)),
    CASE anabranch.document_form($1, $2)
      WHEN 'text' THEN format('%s.%I::text', $4, known.options ->> 'score')
      WHEN 'none' THEN NULL
      ELSE (SELECT string_agg(format('%s.%I', $4, c.name), ', ' ORDER BY c.number) FROM anabranch.document_columns($1) AS c) END);
END
$$;
COMMENT ON FUNCTION anabranch.document_list(oid, boolean, text, text) IS
  'what a statement for documents selects: id, target, member, whether there is a document, the columns of the key, and what the contents are made of';

CREATE FUNCTION anabranch.documents_from(copy oid, wanted text, documents text, contents boolean, rows_max int, bytes_max bigint)
RETURNS TABLE (key text, id text, target text, member text, content text, digest text, rows bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT r.* FROM anabranch.external_index AS x, anabranch.read_documents($1, $2, $3, anabranch.document_form($1, $4), cardinality(x.key), $5, $6) AS r WHERE x.copy = $1
$$;
COMMENT ON FUNCTION anabranch.documents_from(oid, text, text, boolean, int, bigint) IS 'read_documents for an index';

-- `keys`: a relation of keys, called by their columns. They are the outer side of a nested loop, so that documents of one key follow each
-- other.
CREATE FUNCTION anabranch.documents_of(copy oid, keys text, contents boolean) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT format('SELECT %s FROM (SELECT DISTINCT true%s FROM %s AS k) AS k LEFT JOIN LATERAL (SELECT true AS anabranch_there, v.* FROM %s AS v WHERE %s) AS d ON true',
                anabranch.document_list($1, $3, 'k', 'd'),
                (SELECT string_agg(format(', k.%I', c), '' ORDER BY n) FROM unnest(x.key) WITH ORDINALITY AS l (c, n))
                || coalesce((SELECT string_agg(format(', k.%I::text AS anabranch_text_%s', c, n), '') FROM unnest(inexact) WITH ORDINALITY AS l (c, n)), ''), $2, $1::regclass,
                concat_ws(' AND ', 'true', (SELECT string_agg(format('v.%1$I = k.%1$I', c), ' AND ') FROM unnest(x.key) AS c),
                          (SELECT string_agg(format('v.%1$I::text = k.%1$I::text', c), ' AND ') FROM unnest(inexact) AS c)))
  FROM anabranch.external_index AS x, anabranch.inexact_key($1) AS inexact WHERE x.copy = $1
$$;
COMMENT ON FUNCTION anabranch.documents_of(oid, text, boolean) IS 'statement for the documents of keys, not there where there is none';

CREATE FUNCTION anabranch.changed_documents(copy oid, after bigint, upto bigint, bytes_max bigint, contents boolean DEFAULT true) RETURNS TABLE (key text, id text, target text, member text, content text, digest text, rows bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT r.* FROM anabranch.documents_from($1, (
    SELECT format('SELECT true AS anabranch_one%s FROM %s WHERE number > %s AND number <= %s',
                  (SELECT string_agg(format(', %s AS %I', s.c, x.key[s.n]), '' ORDER BY s.n) FROM unnest(d.document_key) WITH ORDINALITY AS s (c, n)), x.pending, $2, $3)
    FROM anabranch.external_index AS x JOIN anabranch.definition AS d ON d.copy = x.copy WHERE x.copy = $1), anabranch.documents_of($1, 'wanted', $5), $5, NULL, $4) AS r;
END
$$;
COMMENT ON FUNCTION anabranch.changed_documents(oid, bigint, bigint, bigint, boolean) IS 'the documents whose pending numbers are in a range; without contents, where only their keys are asked for';

CREATE FUNCTION anabranch.as_shown(document text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN $1::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN to_jsonb($1);
END
$$;
COMMENT ON FUNCTION anabranch.as_shown(text) IS 'a document as jsonb; one that jsonb cannot hold, or that is no JSON, as a string';

-- An engine may hold what somebody else has written.
CREATE FUNCTION anabranch.readable_keys(keys jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  readable jsonb;
BEGIN
  BEGIN
    SELECT ('[' || string_agg(k, ',') || ']')::jsonb INTO readable FROM jsonb_array_elements_text($1) AS k;
  EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    SELECT jsonb_agg(anabranch.as_shown(k)) INTO readable FROM jsonb_array_elements_text($1) AS k;
  END;
  RETURN (SELECT coalesce(jsonb_agg(e), '[]') FROM jsonb_array_elements(readable) AS e WHERE jsonb_typeof(e) = 'object');
END
$$;
COMMENT ON FUNCTION anabranch.readable_keys(jsonb) IS 'of a list of keys, each an object or the text of one, those that jsonb can hold';

CREATE FUNCTION anabranch.possible_keys(copy oid, keys jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  statement text := format('SELECT count(r) FROM jsonb_array_elements($1) AS e (key) CROSS JOIN LATERAL jsonb_populate_record(NULL::%s, e.key) AS r', $1::regclass);
  possible  jsonb := '[]';
  key       jsonb;
  count     bigint;
BEGIN
  -- Types of users have functions of users, which must not run with our rights: the statement for documents runs them as the copy's owner.
  IF EXISTS (SELECT FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384 AND t.typtype <> 'e') THEN
    RETURN $2;
  END IF;
  EXECUTE statement INTO count USING $2;
  RETURN $2;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
  FOR key IN SELECT jsonb_array_elements($2) LOOP
    BEGIN
      EXECUTE statement INTO count USING jsonb_build_array(key);
      possible := possible || jsonb_build_array(key);
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
      NULL;
    END;
  END LOOP;
  RETURN possible;
END
$$;
COMMENT ON FUNCTION anabranch.possible_keys(oid, jsonb) IS 'of a list of keys those whose values are of the copy''s types, as far as these are the server''s own, or enums: no document has another';

CREATE FUNCTION anabranch.keyed_documents(copy oid, keys jsonb, bytes_max bigint, contents boolean DEFAULT true) RETURNS TABLE (key text, id text, target text, member text, content text, digest text, rows bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT r.* FROM anabranch.documents_from($1, NULL, anabranch.documents_of($1,
    format('(SELECT r.* FROM jsonb_array_elements(%L) AS e (key) CROSS JOIN LATERAL jsonb_populate_record(NULL::%s, e.key) AS r)',
           anabranch.possible_keys($1, anabranch.readable_keys($2)), $1::regclass), $4), $4, NULL, $3) AS r;
END
$$;
COMMENT ON FUNCTION anabranch.keyed_documents(oid, jsonb, bigint, boolean) IS 'the documents of a list of keys, each an object by column, or the text of one; without contents, where it is only asked which there are';

CREATE FUNCTION anabranch.key_order(copy oid, alias text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT ARRAY(SELECT format('%s.%I', $2, c) FROM unnest(x.key) WITH ORDINALITY AS l (c, n) ORDER BY n)
         || ARRAY(SELECT format('%s.%I::text COLLATE "C"', $2, c) FROM unnest(anabranch.inexact_key($1)) AS c)
  FROM anabranch.external_index AS x WHERE x.copy = $1
$$;
COMMENT ON FUNCTION anabranch.key_order(oid, text) IS 'what the documents of an index are ordered by: no two of them are equal in it';

CREATE FUNCTION anabranch.next_documents(copy oid, after jsonb, rows_max int, bytes_max bigint) RETURNS TABLE (key text, id text, target text, member text, content text, digest text, rows bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  names  text[] := (SELECT x.key FROM anabranch.external_index AS x WHERE x.copy = $1);
  parts  text := array_to_string(anabranch.key_order($1, 'v'), ', ');
  beyond text;
BEGIN
  IF $2 IS NOT NULL THEN
    -- Each by itself: a row out of one subquery would keep the index from being used.
    SELECT CASE names WHEN '{}' THEN 'false'
                ELSE format('(%s) > (%s)', parts, string_agg(format('(SELECT %s FROM jsonb_populate_record(NULL::%s, %L) AS r)', p, $1::regclass, $2), ', ' ORDER BY n)) END
    INTO beyond FROM unnest(anabranch.key_order($1, 'r')) WITH ORDINALITY AS l (p, n);
  END IF;
  RETURN QUERY SELECT r.* FROM anabranch.documents_from($1, NULL,
    format('SELECT %s FROM (SELECT true AS anabranch_there, v.* FROM %s AS v WHERE %s%s LIMIT %s) AS d',
           anabranch.document_list($1, true, 'd', 'd'), $1::regclass,
           concat_ws(' AND ', 'true', beyond, (SELECT string_agg(format('v.%I IS NOT NULL', name), ' AND ') FROM unnest(names) AS name)),
           ' ORDER BY ' || nullif(parts, ''), $3::bigint + 1), true, $3, $4) AS r;
END
$$;
COMMENT ON FUNCTION anabranch.next_documents(oid, jsonb, int, bigint) IS 'documents in the order of their keys, behind a key; without those whose key has a NULL; none: there are no more';

CREATE FUNCTION anabranch.keyless_documents(copy oid, rows_max int, bytes_max bigint) RETURNS TABLE (key text, id text, target text, member text, content text, digest text, rows bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT r.* FROM anabranch.documents_from($1, NULL, (
    SELECT format('SELECT %s FROM (SELECT true AS anabranch_there, v.* FROM %s AS v WHERE %s LIMIT %s) AS d',
                  anabranch.document_list($1, true, 'd', 'd'), $1::regclass, coalesce((SELECT string_agg(format('v.%I IS NULL', c), ' OR ') FROM unnest(x.key) AS c), 'false'), $2)
    FROM anabranch.external_index AS x WHERE x.copy = $1), true, NULL, $3) AS r;
END
$$;
COMMENT ON FUNCTION anabranch.keyless_documents(oid, int, bigint) IS 'documents whose key has a NULL: no index can have them';

-- In a transaction after that of the turn: what somebody has done to the row since (an index that is to be made anew) must not be undone.
CREATE FUNCTION anabranch.record_delivery(copy oid, token bigint, seen text, number bigint, lsn pg_catalog.pg_lsn, as_of timestamptz, version bigint, identity text,
                                          documents bigint, filled int, swept_to jsonb, swept bigint, refused jsonb, taken jsonb, frozen boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM anabranch.require_token($2);
  UPDATE anabranch.index_progress AS p
  SET number = greatest(p.number, $4), lsn = coalesce($5, p.lsn), as_of = coalesce($6, p.as_of), version = greatest(p.version, $7), identity = coalesce($8, p.identity),
      documents = p.documents + $9, frozen = (p.frozen OR $15) AND $10 IS NULL, filled = coalesce($10, p.filled), swept_to = CASE WHEN $10 IS NULL THEN coalesce($11, p.swept_to) END,
      swept = CASE WHEN $10 IS NULL THEN coalesce($12, p.swept) ELSE 0 END, problem = NULL, remedy = NULL, problem_since = NULL, seen_at = clock_timestamp()
  WHERE p.copy = $1 AND p.xmin::text = $3;
  IF NOT FOUND THEN
    -- Where another generation is to be made, readers find the one that has just been completed until then.
    UPDATE anabranch.index_progress AS p SET filled = $10, frozen = false FROM anabranch.external_index AS x
    WHERE p.copy = $1 AND x.copy = $1 AND x.generation > $10 AND p.filled > 0;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'index % is to be made anew since a turn at it began', $1::regclass USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN;
  END IF;
  IF $14 IS NOT NULL THEN
    DELETE FROM anabranch.refused_document AS r WHERE r.copy = $1 AND md5(r.key::text) IN (SELECT md5(k::text) FROM jsonb_array_elements($14) AS k);
  END IF;
  IF $13 IS NOT NULL THEN
    DELETE FROM anabranch.refused_document AS r WHERE r.copy = $1 AND md5(r.key::text) IN (SELECT md5((e -> 'key')::text) FROM jsonb_array_elements($13) AS e);
    INSERT INTO anabranch.refused_document (copy, key, lsn, bytes, reason)
    SELECT DISTINCT ON (md5((e -> 'key')::text)) $1, e -> 'key', (e ->> 'lsn')::pg_lsn, (e ->> 'bytes')::bigint, e ->> 'reason' FROM jsonb_array_elements($13) AS e;
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.record_delivery(oid, bigint, text, bigint, pg_catalog.pg_lsn, timestamptz, bigint, text, bigint, int, jsonb, bigint, jsonb, jsonb, boolean) IS
  'records what an engine has acknowledged; seen: as delivery_state gave it, serialization_failure when the index is to be made anew since; refused: documents it will not take; taken: keys of others, where some had been refused before';

CREATE FUNCTION anabranch.sweep_again(copy oid, token bigint, identity text, reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM anabranch.require_token($2);
  UPDATE anabranch.index_progress AS p SET filled = 0, swept_to = NULL, swept = 0, identity = $3, version = NULL, problem = $4, remedy = NULL, problem_since = clock_timestamp()
  WHERE p.copy = $1;
END
$$;
COMMENT ON FUNCTION anabranch.sweep_again(oid, bigint, text, text) IS 'the engine has lost what it had: every document is sent again';

CREATE FUNCTION anabranch.note_index_problem(copy oid, token bigint, problem text, remedy text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM anabranch.require_token($2);
  UPDATE anabranch.index_progress AS p SET problem = $3, remedy = $4, problem_since = coalesce(p.problem_since, clock_timestamp()) WHERE p.copy = $1;
END
$$;
COMMENT ON FUNCTION anabranch.note_index_problem(oid, bigint, text, text) IS 'says why nothing can be delivered';

-- Whatever the engine has acknowledged is deleted; where more waits than is worth keeping, nothing is kept and all is sent again.
-- `behind`: up to where that was done before. While somebody holds a snapshot, what was deleted is still there to be looked at.
CREATE FUNCTION anabranch.trim_pending(copy oid, token bigint, behind bigint, pending_max bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  pending   regclass := (SELECT x.pending FROM anabranch.external_index AS x WHERE x.copy = $1);
  delivered bigint := (SELECT p.number FROM anabranch.index_progress AS p WHERE p.copy = $1);
  waiting   bigint;
BEGIN
  PERFORM anabranch.require_token($2);
  IF pending IS NULL THEN
    RETURN $3;
  END IF;
  EXECUTE format('DELETE FROM %s WHERE number > $1 AND number <= $2', pending) USING $3, delivered;
  -- Numbers are of all indexes together: they are counted only where they could be too many.
  EXECUTE format('SELECT max(number) - $1 FROM %s', pending) INTO waiting USING delivered;
  IF waiting > $4 THEN
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %s WHERE number > $1 LIMIT $2) AS n', pending) INTO waiting USING delivered, $4 + 1;
  END IF;
  IF waiting > $4 THEN
    EXECUTE format('TRUNCATE %s', pending);
    UPDATE anabranch.index_progress AS p SET filled = 0, swept_to = NULL, swept = 0 WHERE p.copy = $1;
  END IF;
  RETURN delivered;
END
$$;
COMMENT ON FUNCTION anabranch.trim_pending(oid, bigint, bigint, bigint) IS
  'deletes pending keys that were delivered, and says up to where; more than pending_max of others are given up for a fill of the index';

-- Comparing an index with its copy: what a verification does once the copy is proved.

CREATE FUNCTION anabranch.document_keys(copy oid, keys jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN bool_and(jsonb_typeof(k) = 'object' AND k ?& x.key) THEN $2 END
  FROM anabranch.external_index AS x, jsonb_array_elements($2) AS k WHERE x.copy = $1
$$;
COMMENT ON FUNCTION anabranch.document_keys(oid, jsonb) IS 'keys of a copy as keys of its index''s documents; NULL where they are none';

CREATE FUNCTION anabranch.begin_index_comparison(run bigint, OUT key text, OUT repaired_before bigint) RETURNS SETOF record
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  -- Of an attempt that was cut off. What it has repaired differed, and was there: that stays.
  DELETE FROM anabranch.difference AS d WHERE d.run = $1 AND d.held_by = 'index' AND d.outcome IS NULL;
  SELECT k.key::text, coalesce(v.documents_repaired, 0)
  FROM anabranch.verification AS v JOIN anabranch.external_index AS x ON x.copy = v.copy
  CROSS JOIN LATERAL (SELECT NULL::jsonb WHERE v.document_keys IS NULL UNION ALL SELECT nullif(e, 'null') FROM jsonb_array_elements(v.document_keys) AS e) AS k (key)
  WHERE v.run = $1 AND (v.mode <> 'keys' OR v.document_keys IS NOT NULL)
$$;
COMMENT ON FUNCTION anabranch.begin_index_comparison(bigint) IS
  'the keys of the documents that a run is to compare, one that is NULL: all, none: it is to compare no index; and how many it has repaired before it was cut off';

CREATE FUNCTION anabranch.record_index_comparison(run bigint, lsn pg_catalog.pg_lsn, compared bigint, differing bigint, repaired bigint, differences jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  the_copy regclass := (SELECT v.copy FROM anabranch.verification AS v WHERE v.run = $1);
  place    bigint := (SELECT coalesce(max(d.number), 0) FROM anabranch.difference AS d WHERE d.run = $1);
BEGIN
  UPDATE anabranch.verification AS v SET documents_lsn = $2, documents = $3, documents_differing = $4, documents_repaired = $5 WHERE v.run = $1;
  INSERT INTO anabranch.difference AS d (run, number, held_by, class, key, expected, actual, outcome, repaired_at, repaired_lsn)
  SELECT $1, place + e.n, 'index', CASE WHEN r.key IS NULL THEN e.value ->> 'class' ELSE 'refused' END, shown.key, anabranch.as_shown(e.value ->> 'expected'),
         anabranch.as_shown(e.value ->> 'actual'),
         CASE WHEN (e.value -> 'repaired')::boolean THEN 'repaired' END, CASE WHEN (e.value -> 'repaired')::boolean THEN clock_timestamp() END,
         CASE WHEN (e.value -> 'repaired')::boolean THEN $2 END
  FROM jsonb_array_elements($6) WITH ORDINALITY AS e (value, n)
  CROSS JOIN LATERAL (SELECT anabranch.as_shown(e.value ->> 'key')) AS shown (key)
  LEFT JOIN anabranch.refused_document AS r ON r.copy = the_copy AND md5(r.key::text) = md5(shown.key::text);
END
$$;
COMMENT ON FUNCTION anabranch.record_index_comparison(bigint, pg_catalog.pg_lsn, bigint, bigint, bigint, jsonb) IS
  'records how far a comparison of an index has come, the counts being of the whole run, and what differed since the last call: key, expected and actual as texts';

CREATE VIEW anabranch.indexes AS
SELECT x.copy AS index, x.engine, x.key, x.options,
       CASE WHEN p.copy IS NULL OR i.copy IS NULL THEN 'unbound' WHEN p.state <> 'live' THEN p.state WHEN i.identity IS NULL THEN 'waiting' WHEN i.filled < x.generation AND i.filled = 0 THEN 'filling'
            WHEN i.filled < x.generation THEN 'rebuilding' ELSE 'live' END AS state,
       i.lsn, i.as_of AS current_as_of, pg_catalog.pg_wal_lsn_diff(here.lsn, i.lsn)::bigint AS lag_bytes,
       i.documents, i.swept, c.reltuples::bigint AS rows_estimated,
       (SELECT count(*) FROM anabranch.refused_document AS r WHERE r.copy = x.copy) AS refused,
       i.problem, i.remedy, i.problem_since, x.generation, i.identity, i.seen_at, x.created_at
FROM anabranch.external_index AS x
JOIN anabranch.definition AS d ON d.copy = x.copy
LEFT JOIN anabranch.progress AS p ON p.copy = x.copy
LEFT JOIN anabranch.index_progress AS i ON i.copy = x.copy
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = d.state
CROSS JOIN (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                        ELSE pg_catalog.pg_current_wal_lsn() END) AS here (lsn);
COMMENT ON VIEW anabranch.indexes IS 'indexes outside the database, and how far each is';
COMMENT ON COLUMN anabranch.indexes.index IS 'the view that shows what it has to hold';
COMMENT ON COLUMN anabranch.indexes.engine IS 'section [index.NAME] of the sidecar''s file';
COMMENT ON COLUMN anabranch.indexes.key IS 'columns that a document is found by';
COMMENT ON COLUMN anabranch.indexes.options IS 'what create_index was told';
COMMENT ON COLUMN anabranch.indexes.state IS 'of the copy while that is not live; then waiting (for the sidecar or the engine), filling, rebuilding (readers find the generation before) or live';
COMMENT ON COLUMN anabranch.indexes.lsn IS 'readers find everything that was committed up to here';
COMMENT ON COLUMN anabranch.indexes.current_as_of IS 'everything committed before is found';
COMMENT ON COLUMN anabranch.indexes.lag_bytes IS 'WAL written since lsn, of whatever kind';
COMMENT ON COLUMN anabranch.indexes.documents IS 'documents sent since it was created';
COMMENT ON COLUMN anabranch.indexes.swept IS 'documents sent of the generation that is being filled';
COMMENT ON COLUMN anabranch.indexes.rows_estimated IS 'documents it has to hold, estimated';
COMMENT ON COLUMN anabranch.indexes.refused IS 'documents that the engine will not take: see dead_letters';
COMMENT ON COLUMN anabranch.indexes.problem IS 'why nothing can be delivered; NULL: it can';
COMMENT ON COLUMN anabranch.indexes.remedy IS 'what to do about it';
COMMENT ON COLUMN anabranch.indexes.problem_since IS 'since when';
COMMENT ON COLUMN anabranch.indexes.generation IS 'how often it has been made anew';
COMMENT ON COLUMN anabranch.indexes.identity IS 'of the index at its engine';
COMMENT ON COLUMN anabranch.indexes.seen_at IS 'when the last delivery ended';
COMMENT ON COLUMN anabranch.indexes.created_at IS 'when it was created';

CREATE VIEW anabranch.dead_letters AS
SELECT d.source, d.lsn, d.number, d.topic, d.relation, d.column_name, d.key, d.bytes, d.reason, d.content, d.parked_at
FROM anabranch.dead_letter AS d
UNION ALL
SELECT 'home', r.lsn, 0, '', r.copy::text, 'document', pg_catalog.convert_to(r.key::text, 'UTF8'), r.bytes, r.reason, NULL, r.parked_at
FROM anabranch.refused_document AS r;
COMMENT ON VIEW anabranch.dead_letters IS 'values that stand in no topic because they were too large (oversize = "park"; their records say so, too), messages that are no rows of their stream, and documents that an engine will not take';
COMMENT ON COLUMN anabranch.dead_letters.source IS 'the source';
COMMENT ON COLUMN anabranch.dead_letters.lsn IS 'position of the transaction, as in the record''s header; of a document that of the copy it was read in';
COMMENT ON COLUMN anabranch.dead_letters.number IS 'number of the record within the transaction; of a message that is no row of its stream, which of these it is';
COMMENT ON COLUMN anabranch.dead_letters.topic IS 'the topic its record stands in; empty for all else';
COMMENT ON COLUMN anabranch.dead_letters.relation IS 'the table, the stream or the index; empty for another logical message';
COMMENT ON COLUMN anabranch.dead_letters.column_name IS 'the column that was left out; content or message of a logical message; document of an index';
COMMENT ON COLUMN anabranch.dead_letters.key IS 'the record''s key; of a document the key as JSON';
COMMENT ON COLUMN anabranch.dead_letters.bytes IS 'size of the value';
COMMENT ON COLUMN anabranch.dead_letters.reason IS 'why it was left out';
COMMENT ON COLUMN anabranch.dead_letters.content IS 'of a message that is no row of its stream: all of it, up to 16 MB';
COMMENT ON COLUMN anabranch.dead_letters.parked_at IS 'when';
