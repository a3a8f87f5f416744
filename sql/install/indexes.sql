-- Indexes outside the database: a copy whose rows are documents of a search engine or of Redis. The copy itself is kept like any
-- other; here is what is to be sent of it, and what has been.
--
-- Which documents are to be sent is noted by triggers on the copy's state table, in the transaction that changes it. A delivery
-- reads the keys noted since the last one and the documents they have now, in one snapshot with the copy's position: that is the
-- documents' version. However often a row has changed it is sent once, and what is sent again changes nothing.

CREATE TABLE anabranch.external_index (
  copy       regclass PRIMARY KEY,
  name       text NOT NULL,
  engine     text NOT NULL,
  key        text[] NOT NULL,
  options    jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(options) = 'object'),
  owner      uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
  generation int NOT NULL DEFAULT 1 CHECK (generation >= 1),
  pending    regclass NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE anabranch.external_index IS 'what each index outside the database is made of';
COMMENT ON COLUMN anabranch.external_index.copy IS 'the view that shows what the index has to hold';
COMMENT ON COLUMN anabranch.external_index.name IS 'what it is called at its engine: the copy''s name when it was created, or the option index';
COMMENT ON COLUMN anabranch.external_index.engine IS 'the section [index.NAME] of the sidecar''s file that says where it is';
COMMENT ON COLUMN anabranch.external_index.key IS 'columns that a document is found by';
COMMENT ON COLUMN anabranch.external_index.options IS 'as create_index took them: shape, key, member, score, ttl, slot; index, mapping, settings';
COMMENT ON COLUMN anabranch.external_index.owner IS 'stands in the index, to tell it from one of another database';
COMMENT ON COLUMN anabranch.external_index.generation IS 'grows whenever the index is to be made anew';
COMMENT ON COLUMN anabranch.external_index.pending IS 'keys of documents that have changed and are to be sent';
COMMENT ON COLUMN anabranch.external_index.created_at IS 'when it was created';

CREATE TABLE anabranch.index_progress (
  copy          regclass PRIMARY KEY WITH (deduplicate_items = off),
  number        bigint NOT NULL DEFAULT 0,
  filled        int NOT NULL DEFAULT 0,
  swept_to      jsonb,
  swept         bigint NOT NULL DEFAULT 0,
  frozen        boolean NOT NULL DEFAULT false,
  lsn           pg_catalog.pg_lsn,
  as_of         timestamptz,
  version       bigint,
  identity      text,
  documents     bigint NOT NULL DEFAULT 0,
  problem       text,
  remedy        text,
  problem_since timestamptz,
  seen_at       timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE anabranch.index_progress IS 'how far each index is; written once per delivery';
COMMENT ON COLUMN anabranch.index_progress.copy IS 'the index';
COMMENT ON COLUMN anabranch.index_progress.number IS 'last of the changes in its table of pending keys that the engine has acknowledged';
COMMENT ON COLUMN anabranch.index_progress.filled IS 'the generation that readers find, complete; 0: none yet';
COMMENT ON COLUMN anabranch.index_progress.swept_to IS 'while a generation is filled: the last key that has been sent';
COMMENT ON COLUMN anabranch.index_progress.swept IS 'while a generation is filled: documents sent';
COMMENT ON COLUMN anabranch.index_progress.frozen IS 'the generation that readers find stays as it is until the next is complete: it has no place for the documents of now';
COMMENT ON COLUMN anabranch.index_progress.lsn IS 'readers of the index find everything that was committed up to here';
COMMENT ON COLUMN anabranch.index_progress.as_of IS 'everything committed before is found';
COMMENT ON COLUMN anabranch.index_progress.version IS 'highest version of a document that the engine has acknowledged';
COMMENT ON COLUMN anabranch.index_progress.identity IS 'of the index at the engine: another one means that it was made anew behind our back';
COMMENT ON COLUMN anabranch.index_progress.documents IS 'documents sent since the index was created';
COMMENT ON COLUMN anabranch.index_progress.problem IS 'why nothing can be delivered; NULL: it can';
COMMENT ON COLUMN anabranch.index_progress.remedy IS 'what to do about it';
COMMENT ON COLUMN anabranch.index_progress.problem_since IS 'since when';
COMMENT ON COLUMN anabranch.index_progress.seen_at IS 'when the last delivery ended';

CREATE TABLE anabranch.refused_document (
  copy      regclass NOT NULL,
  key       jsonb NOT NULL,
  lsn       pg_catalog.pg_lsn NOT NULL,
  bytes     bigint NOT NULL,
  reason    text NOT NULL,
  parked_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
ALTER TABLE anabranch.refused_document REPLICA IDENTITY FULL;
-- Not the key itself, which may be too long for an index.
CREATE UNIQUE INDEX refused_document_key ON anabranch.refused_document (copy, pg_catalog.md5(key::text));
COMMENT ON TABLE anabranch.refused_document IS 'documents that an engine will not take; the index does not have them, until they change';
COMMENT ON COLUMN anabranch.refused_document.copy IS 'the index';
COMMENT ON COLUMN anabranch.refused_document.key IS 'the document''s key columns';
COMMENT ON COLUMN anabranch.refused_document.lsn IS 'position of the copy in which it was read';
COMMENT ON COLUMN anabranch.refused_document.bytes IS 'size of its contents';
COMMENT ON COLUMN anabranch.refused_document.reason IS 'the engine''s words';
COMMENT ON COLUMN anabranch.refused_document.parked_at IS 'when';

CREATE TABLE anabranch.dropped_index (
  owner   uuid PRIMARY KEY,
  name    text NOT NULL,
  engine  text NOT NULL,
  options jsonb NOT NULL,
  form    text NOT NULL
);
COMMENT ON TABLE anabranch.dropped_index IS 'indexes that were dropped here and are still to be removed from their engines';
COMMENT ON COLUMN anabranch.dropped_index.owner IS 'as external_index had it';
COMMENT ON COLUMN anabranch.dropped_index.name IS 'what it is called there';
COMMENT ON COLUMN anabranch.dropped_index.engine IS 'the section of the sidecar''s file';
COMMENT ON COLUMN anabranch.dropped_index.options IS 'as external_index had them';
COMMENT ON COLUMN anabranch.dropped_index.form IS 'how its keys in Redis look, as target_form says it: no other index may write there yet';

-- In the order in which transactions commit, for one index: whoever changes its state table holds a lock of the copy until then.
CREATE SEQUENCE anabranch.change_number;
COMMENT ON SEQUENCE anabranch.change_number IS 'numbers the pending keys of indexes';

SELECT pg_catalog.pg_extension_config_dump('anabranch.external_index', '');
SELECT pg_catalog.pg_extension_config_dump('anabranch.change_number', '');

-- TG_ARGV: the table of pending keys; the columns of the state table that the key is made of; of an UPDATE that may change them, the
-- operation by which former keys are added to those of now.
CREATE FUNCTION anabranch.note_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('INSERT INTO %s SELECT nextval(''anabranch.change_number''), k.* FROM (SELECT %s FROM changed%s) AS k', tg_argv[0], tg_argv[1],
                 ' ' || nullif(tg_argv[2], '') || ' SELECT ' || tg_argv[1] || ' FROM former');
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION anabranch.note_changed() IS 'trigger of the state table of an index: notes which documents are to be sent';

-- A fill that begins anew: no key is named, so all that the index holds has to be looked through.
CREATE FUNCTION anabranch.note_emptied() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE anabranch.index_progress AS p SET filled = 0, swept_to = NULL, swept = 0
  FROM anabranch.definition AS d WHERE d.state = tg_relid AND p.copy = d.copy;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION anabranch.note_emptied() IS 'trigger of the state table of an index: has it filled anew';

-- By name: whether a type's equality is that of texts (as numeric's is not: 1.0 = 1.00) is in no catalog for all of them.
CREATE FUNCTION anabranch.inexact_key(copy oid) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT ARRAY(
    SELECT k.name
    FROM anabranch.external_index AS x CROSS JOIN LATERAL unnest(x.key) WITH ORDINALITY AS k (name, n)
    JOIN pg_attribute AS a ON a.attrelid = x.copy AND a.attname = k.name
    LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
    WHERE x.copy = $1 AND NOT (a.atttypid IN ('boolean'::regtype, 'smallint'::regtype, 'int'::regtype, 'bigint'::regtype, 'oid'::regtype, 'text'::regtype,
                                              'varchar'::regtype, 'name'::regtype, '"char"'::regtype, 'uuid'::regtype, 'date'::regtype, 'timestamp'::regtype,
                                              'timestamptz'::regtype, 'time'::regtype, 'bytea'::regtype) AND coalesce(c.collisdeterministic, true))
    ORDER BY k.n)
$$;
COMMENT ON FUNCTION anabranch.inexact_key(oid) IS 'columns of an index''s key of which equal values may have other texts: documents are told apart by their texts';

CREATE FUNCTION anabranch.watch_state(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  state     regclass;
  columns   text;
  pending   regclass;
  addition  text;
  operation text;
  tables    text;
BEGIN
  -- Groups keep their key as long as they are there. Where other texts can be equal, both have to be noted.
  SELECT d.state, CASE WHEN d.class <> 'rows' THEN '' WHEN anabranch.inexact_key($1) = '{}' THEN 'UNION' ELSE 'UNION ALL' END,
         array_to_string(d.document_key, ', '), x.pending
  INTO STRICT state, addition, columns, pending
  FROM anabranch.definition AS d JOIN anabranch.external_index AS x ON x.copy = d.copy WHERE d.copy = $1;
  EXECUTE format('CREATE TRIGGER anabranch_note_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION anabranch.note_emptied()', state);
  FOR operation, tables IN VALUES ('INSERT', 'NEW TABLE AS changed'), ('DELETE', 'OLD TABLE AS changed'),
                                  ('UPDATE', 'NEW TABLE AS changed' || CASE addition WHEN '' THEN '' ELSE ' OLD TABLE AS former' END) LOOP
    EXECUTE format('CREATE TRIGGER anabranch_note_%s AFTER %s ON %s REFERENCING %s FOR EACH STATEMENT EXECUTE FUNCTION anabranch.note_changed(%L, %L, %L)',
                   lower(operation), operation, state, tables, pending, columns, CASE operation WHEN 'UPDATE' THEN addition ELSE '' END);
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.watch_state(oid) IS 'has every change of an index''s state table noted';

CREATE FUNCTION anabranch.is_watched(state oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = $1 AND t.tgfoid = 'anabranch.note_changed()'::regprocedure)
$$;
COMMENT ON FUNCTION anabranch.is_watched(oid) IS 'whether changes of a state table are noted for an index';

CREATE FUNCTION anabranch.unwatch_state(state oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name name;
BEGIN
  FOR name IN SELECT t.tgname FROM pg_trigger AS t WHERE t.tgrelid = $1 AND t.tgname LIKE 'anabranch\_note\_%' LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', name, $1::regclass);
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.unwatch_state(oid) IS 'ends that changes of a state table are noted';

CREATE FUNCTION anabranch.key_definitions(copy oid) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
  SELECT anabranch.column_definitions(d.state, ARRAY(
    SELECT a.attnum FROM unnest(d.document_key) WITH ORDINALITY AS k (name, place)
    JOIN pg_attribute AS a ON a.attrelid = d.state AND quote_ident(a.attname) = k.name AND NOT a.attisdropped ORDER BY k.place))
  FROM anabranch.definition AS d WHERE d.copy = $1
$$;
COMMENT ON FUNCTION anabranch.key_definitions(oid) IS
  'name, type and collation of the columns that an index''s key is in, as its state table has them; NULL where it is in none';

CREATE FUNCTION anabranch.make_pending(copy oid, name text) RETURNS regclass
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known   anabranch.definition;
  pending text := format('anabranch_data.%I', $2);
BEGIN
  SELECT * INTO STRICT known FROM anabranch.definition AS d WHERE d.copy = $1;
  EXECUTE format('CREATE TABLE %s (%s) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100000, autovacuum_vacuum_cost_delay = 0)',
                 pending, array_to_string('number bigint PRIMARY KEY'::text || anabranch.key_definitions($1), ', '));
  -- Statistics of a range type would be made by a function of its author's, with our rights; as in definition.cpp.
  EXECUTE (SELECT coalesce(string_agg(format('ALTER TABLE %s ALTER %s SET STATISTICS 0', pending, c), '; '), 'SELECT') FROM unnest(known.document_key) AS c);
  EXECUTE format('COMMENT ON TABLE %s IS %L', pending, format('documents of %s that are to be sent; written by anabranch alone', $1::regclass));
  RETURN pending;
END
$$;
COMMENT ON FUNCTION anabranch.make_pending(oid, text) IS 'makes the table of an index''s pending keys, its columns those of its state table that the key is in';

-- An index follows its copy to what has taken its place, and is made anew beside the one that readers find.
CREATE FUNCTION anabranch.follow_swap(former_copy oid, former_state oid, copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known anabranch.external_index;
  kept  boolean;
BEGIN
  UPDATE anabranch.external_index AS x SET copy = $3, generation = x.generation + 1 WHERE x.copy = $1 RETURNING * INTO known;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  UPDATE anabranch.index_progress AS p SET copy = $3, swept_to = NULL, swept = 0 WHERE p.copy = $1;
  UPDATE anabranch.refused_document AS r SET copy = $3 WHERE r.copy = $1;
  kept := anabranch.is_watched($2);
  PERFORM anabranch.unwatch_state($2);
  -- Keys may be of other types now. What is pending is given up: all is sent again, and until then readers find what they do.
  IF anabranch.key_definitions($3) IS DISTINCT FROM anabranch.column_definitions(known.pending, ARRAY(
       SELECT a.attnum FROM pg_attribute AS a WHERE a.attrelid = known.pending AND a.attnum > 1 AND NOT a.attisdropped ORDER BY a.attnum)) THEN
    UPDATE anabranch.external_index AS x
    SET pending = anabranch.make_pending($3, (SELECT format('pending_%s_%s', d.id, known.generation) FROM anabranch.definition AS d WHERE d.copy = $3))
    WHERE x.copy = $3;
    UPDATE anabranch.index_progress AS p SET frozen = true WHERE p.copy = $3;
    EXECUTE format('DROP TABLE %s', known.pending);
  END IF;
  IF kept THEN
    PERFORM anabranch.watch_state($3);
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.follow_swap(oid, oid, oid) IS 'when a twin has taken the place of an index''s copy: its changes are noted from now on';

-- A database that was restored from a dump is another one than that whose index its engine has.
CREATE FUNCTION anabranch.bind_index(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM anabranch.external_index AS x WHERE x.copy = $1) AND NOT EXISTS (SELECT FROM anabranch.index_progress AS p WHERE p.copy = $1) THEN
    UPDATE anabranch.external_index AS x SET owner = gen_random_uuid() WHERE x.copy = $1;
    INSERT INTO anabranch.index_progress VALUES ($1);
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.bind_index(oid) IS 'begins an index anew of which nothing is known, as after a restore';

CREATE FUNCTION anabranch.forget_index(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  gone  anabranch.external_index;
  form  text := anabranch.target_form($1);
  state regclass := (SELECT d.state FROM anabranch.definition AS d WHERE d.copy = $1);
BEGIN
  SELECT * INTO gone FROM anabranch.external_index AS x WHERE x.copy = $1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  -- Deliveries and comparisons read the pending keys first, but only in their turn: it is waited for (class and key as in take_turn).
  -- All others take locks in this order: the state table, the pending keys, the progress.
  PERFORM pg_advisory_xact_lock(1095647576, $1::int);
  IF EXISTS (SELECT FROM pg_class WHERE oid = state) THEN
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', state);
  END IF;
  IF EXISTS (SELECT FROM pg_class WHERE oid = gone.pending) THEN
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', gone.pending);
  END IF;
  DELETE FROM anabranch.external_index AS x WHERE x.copy = $1;
  -- Also of what was hardly begun something may be at the engine, but for what was restored and never bound.
  INSERT INTO anabranch.dropped_index (owner, name, engine, options, form)
  SELECT gone.owner, gone.name, gone.engine, gone.options, form FROM anabranch.index_progress AS p WHERE p.copy = $1;
  DELETE FROM anabranch.index_progress AS p WHERE p.copy = $1;
  DELETE FROM anabranch.refused_document AS r WHERE r.copy = $1;
  IF EXISTS (SELECT FROM pg_class WHERE oid = gone.pending) THEN
    EXECUTE format('DROP TABLE %s', gone.pending);
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.forget_index(oid) IS 'removes what is known of an index; the sidecar removes it from its engine';

-- What is asked.

CREATE FUNCTION anabranch.document_columns(copy oid, OUT name text, OUT type text, OUT is_array boolean, OUT number int2) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH RECURSIVE base (number, name, type) AS (
    SELECT a.attnum, a.attname, a.atttypid FROM pg_attribute AS a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.number, b.name, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END FROM base AS b JOIN pg_type AS t ON t.oid = b.type
    WHERE t.typtype = 'd' OR t.typcategory = 'A' AND t.typelem <> 0)
  SELECT b.name::text, format_type(b.type, NULL),
         EXISTS (SELECT FROM base AS o JOIN pg_type AS ot ON ot.oid = o.type WHERE o.number = b.number AND ot.typcategory = 'A'), b.number
  FROM base AS b JOIN pg_type AS t ON t.oid = b.type
  WHERE NOT (t.typtype = 'd' OR t.typcategory = 'A' AND t.typelem <> 0)
  ORDER BY b.number
$$;
COMMENT ON FUNCTION anabranch.document_columns(oid) IS 'columns of a copy as documents have them: domains and arrays by what they are made of';

-- '{' and '}' are written twice to mean themselves.
CREATE FUNCTION anabranch.pattern_parts(pattern text, OUT literal text, OUT name text) RETURNS SETOF record
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  part text[];
  rest text := $1;
BEGIN
  WHILE rest <> '' LOOP
    part := regexp_match(rest, '^(?:(\{\{|\}\})|\{([^{}]+)\}|([^{}]+))(.*)$');
    IF part IS NULL THEN
      RAISE EXCEPTION 'key pattern "%" cannot be read from "%" on', $1, left(rest, 40)
        USING ERRCODE = 'invalid_parameter_value', HINT = 'Write a column as {column}, and a brace twice where it means itself: ''user:{user_id}''.';
    END IF;
    literal := coalesce(left(part[1], 1), part[3]);
    name := part[2];
    RETURN NEXT;
    rest := part[4];
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.pattern_parts(text) IS 'a key pattern in pieces, each a literal or the name of a column';

CREATE FUNCTION anabranch.check_index(copy oid, engine text, key text[], options jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  shape   text := coalesce($4 ->> 'shape', 'json');
  member  text := $4 ->> 'member';
  pattern text := $4 ->> 'key';
  columns text[] := ARRAY(SELECT c.name FROM anabranch.document_columns($1) AS c);
  unknown text;
BEGIN
  IF $2 !~ '^[A-Za-z0-9_-]{1,63}$' THEN
    RAISE EXCEPTION 'engine "%" is no name of a section', $2
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Name a section [index.NAME] of the sidecar''s settings file; addresses and passwords stand there.';
  END IF;
  IF jsonb_typeof($4) <> 'object' THEN
    RAISE EXCEPTION 'options are no JSON object' USING ERRCODE = 'invalid_parameter_value', HINT = 'Write them as {"shape": "hash", "key": "user:{user_id}"}.';
  END IF;
  SELECT o INTO unknown FROM jsonb_object_keys($4) AS o
  WHERE o NOT IN ('shape', 'key', 'member', 'score', 'ttl', 'slot', 'index', 'mapping', 'settings') LIMIT 1;
  IF unknown IS NOT NULL THEN
    RAISE EXCEPTION 'option "%" is unknown', unknown
      USING ERRCODE = 'invalid_parameter_value', HINT = 'The options are shape, key, member, score, ttl and slot for Redis, and index, mapping and settings for search engines.';
  END IF;
  SELECT o.key INTO unknown FROM jsonb_each($4) AS o
  WHERE jsonb_typeof(o.value) <> CASE WHEN o.key IN ('mapping', 'settings') THEN 'object' WHEN o.key = 'ttl' THEN 'number' ELSE 'string' END LIMIT 1;
  IF unknown IS NOT NULL THEN
    RAISE EXCEPTION 'option "%" is of the wrong type', unknown
      USING ERRCODE = 'invalid_parameter_value', HINT = 'mapping and settings are objects, ttl is a number of seconds, and the others are strings.';
  END IF;
  IF $4 ? 'ttl' AND shape NOT IN ('json', 'hash') THEN
    RAISE EXCEPTION 'shape "%" and option ttl do not go together', shape
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Strings and hashes can go by themselves; a member of a set cannot.';
  END IF;
  IF ($4 ->> 'ttl')::numeric NOT BETWEEN 1 AND 2147483647 OR ($4 ->> 'ttl')::numeric % 1 <> 0 THEN
    RAISE EXCEPTION 'ttl % is out of range', $4 ->> 'ttl' USING ERRCODE = 'invalid_parameter_value', HINT = 'It is a whole number of seconds, from 1 on.';
  END IF;
  SELECT o INTO unknown FROM jsonb_object_keys($4) AS o WHERE o IN ('shape', 'key', 'member', 'score', 'ttl', 'slot') LIMIT 1;
  IF unknown IS NOT NULL AND $4 ?| '{mapping,settings}' THEN
    RAISE EXCEPTION 'option "%" is for Redis, and does not go with "mapping" or "settings"', unknown
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Those two are for search engines.';
  END IF;
  SELECT f.key INTO unknown FROM jsonb_each(coalesce($4 -> 'mapping', '{}')) AS f WHERE jsonb_typeof(f.value) <> 'object' LIMIT 1;
  IF unknown IS NOT NULL THEN
    RAISE EXCEPTION 'option "mapping" has no JSON object for "%"', unknown
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Write it as in {"description": {"type": "text", "analyzer": "english"}}.';
  END IF;
  IF $4 ->> 'index' = '' OR $4 ->> 'slot' ~ '[{}]' THEN
    RAISE EXCEPTION 'option "index" is empty, or "slot" has a brace in it' USING ERRCODE = 'invalid_parameter_value', HINT = 'A slot is written without its braces.';
  END IF;
  IF shape NOT IN ('json', 'hash', 'set', 'sorted_set') THEN
    RAISE EXCEPTION 'shape "%" is unknown', shape USING ERRCODE = 'invalid_parameter_value', HINT = 'The shapes are json, hash, set and sorted_set.';
  END IF;
  IF (shape IN ('set', 'sorted_set')) <> (member IS NOT NULL) THEN
    RAISE EXCEPTION 'shape "%" and option member do not go together', shape
      USING ERRCODE = 'invalid_parameter_value', HINT = 'member is the column whose values a set or a sorted set is made of.';
  END IF;
  IF (shape = 'sorted_set') <> ($4 ? 'score') THEN
    RAISE EXCEPTION 'shape "%" and option score do not go together', shape
      USING ERRCODE = 'invalid_parameter_value', HINT = 'score is the column that a sorted set is ordered by.';
  END IF;
  IF $4 ->> 'score' <> ALL (columns) THEN
    RAISE EXCEPTION 'column "%" of option score does not exist', $4 ->> 'score' USING ERRCODE = 'undefined_column';
  END IF;
  SELECT c.type INTO unknown FROM anabranch.document_columns($1) AS c JOIN pg_type AS t ON t.oid = to_regtype(c.type)
  WHERE c.name = $4 ->> 'score' AND (c.is_array OR t.typcategory <> 'N');
  IF unknown IS NOT NULL THEN
    RAISE EXCEPTION 'column "%" of option score is no number', $4 ->> 'score' USING ERRCODE = 'datatype_mismatch', HINT = 'Redis orders by numbers; the query may make one.';
  END IF;
  SELECT c.name INTO unknown FROM anabranch.document_columns($1) AS c JOIN pg_type AS t ON t.oid = to_regtype(c.type)
  WHERE c.name = ANY ($3) AND (c.is_array OR t.typtype = 'c' OR c.type IN ('json', 'jsonb')) LIMIT 1;
  IF unknown IS NOT NULL THEN
    RAISE EXCEPTION 'column "%" of the key is an array, a row or JSON', unknown
      USING ERRCODE = 'feature_not_supported', HINT = 'Its values are not told apart when they are read out of JSON: name a column of a simple type, or one that the query makes of it, as with ::text.';
  END IF;
  SELECT c INTO unknown FROM unnest(columns) AS c WHERE starts_with(c, 'anabranch') LIMIT 1;
  IF unknown IS NOT NULL THEN
    RAISE EXCEPTION 'column "%" of an index has a name that anabranch uses', unknown
      USING ERRCODE = 'reserved_name', HINT = 'Give it another one with AS.';
  END IF;
  IF member IS NOT NULL AND member <> ALL ($3) THEN
    RAISE EXCEPTION 'column "%" of option member is not one of the key', member
      USING ERRCODE = 'invalid_parameter_value', HINT = 'The key names all columns that tell documents apart, the member among them.';
  END IF;
  IF pattern IS NOT NULL THEN
    SELECT p.name INTO unknown FROM anabranch.pattern_parts(pattern) AS p WHERE p.name <> ALL ($3) LIMIT 1;
    IF unknown IS NOT NULL THEN
      RAISE EXCEPTION 'column "%" of option key is not one of the key', unknown USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT k INTO unknown FROM unnest($3) AS k
    WHERE k IS DISTINCT FROM member AND NOT EXISTS (SELECT FROM anabranch.pattern_parts(pattern) AS p WHERE p.name = k) LIMIT 1;
    IF unknown IS NOT NULL THEN
      RAISE EXCEPTION 'key pattern "%" does not have column "%"', pattern, unknown
        USING ERRCODE = 'invalid_parameter_value', HINT = 'Without it several documents would have one key.';
    END IF;
    IF pattern ~ '^(\{\{[^{}]*\}\})?anabranch:' THEN
      RAISE EXCEPTION 'key pattern "%" begins as the keys do that an index has for itself', pattern
        USING ERRCODE = 'invalid_parameter_value', HINT = 'Begin it with another word than "anabranch:".';
    END IF;
    SELECT p.name INTO unknown FROM (
      SELECT q.name, lead(q.literal) OVER w AS behind, lead(q.n) OVER w AS more FROM anabranch.pattern_parts(pattern) WITH ORDINALITY AS q (literal, name, n)
      WINDOW w AS (ORDER BY q.n)) AS p
    WHERE p.name IS NOT NULL AND p.more IS NOT NULL AND (p.behind IS NULL OR starts_with(p.behind, '\')) LIMIT 1;
    IF unknown IS NOT NULL THEN
      RAISE EXCEPTION 'key pattern "%" has nothing behind column "%" that would end it', pattern, unknown
        USING ERRCODE = 'invalid_parameter_value', HINT = 'Put another character than "\" between two columns: ''user:{country}:{user_id}''.';
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.check_index(oid, text, text[], jsonb) IS 'raises, with the remedy, where engine, key and options of an index make no sense';

CREATE FUNCTION anabranch.target_form(copy oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT string_agg(coalesce(p.literal, chr(1)), '' ORDER BY p.number) FROM anabranch.target_parts($1) AS p
$$;
COMMENT ON FUNCTION anabranch.target_form(oid) IS 'how the Redis keys of an index look, whatever its columns are called: two that are equal in it make the same keys';

-- Where neither says how its keys look they are told apart by their names, as in a search engine.
CREATE FUNCTION anabranch.require_own_pattern(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  other regclass;
  gone  text;
BEGIN
  SELECT x.copy INTO other FROM anabranch.external_index AS x JOIN anabranch.external_index AS own ON own.copy = $1 AND own.engine = x.engine AND own.copy <> x.copy
  WHERE (x.options ? 'key' OR own.options ? 'key') AND anabranch.target_form(x.copy) = anabranch.target_form($1) LIMIT 1;
  IF other IS NOT NULL THEN
    RAISE EXCEPTION 'index % has the same key pattern', other
      USING ERRCODE = 'duplicate_object', HINT = 'Each would write over the other''s keys, and remove them: begin the pattern with another word.';
  END IF;
  -- One of the same name is waited for at the engine.
  SELECT d.name INTO gone FROM anabranch.dropped_index AS d JOIN anabranch.external_index AS own ON own.copy = $1 AND own.engine = d.engine AND own.name <> d.name
  WHERE anabranch.target_form($1) = d.form LIMIT 1;
  IF gone IS NOT NULL THEN
    RAISE EXCEPTION 'keys of this pattern are still being removed, of the dropped index "%"', gone
      USING ERRCODE = 'object_in_use', HINT = 'Wait until the sidecar has removed them: SELECT name FROM anabranch.dropped_index lists those that it has not.';
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.require_own_pattern(oid) IS 'raises where another index makes the same keys';

CREATE FUNCTION anabranch.carry_out_create_index(copy oid, engine text, key text[], options jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM anabranch.check_index($1, $2, $3, $4);
  INSERT INTO anabranch.external_index (copy, name, engine, key, options, pending)
  SELECT $1, coalesce($4 ->> 'index', c.relname), $2, $3, $4, anabranch.make_pending($1, 'pending_' || d.id)
  FROM anabranch.definition AS d JOIN pg_class AS c ON c.oid = d.copy WHERE d.copy = $1;
  PERFORM anabranch.require_own_pattern($1);
  INSERT INTO anabranch.index_progress (copy) VALUES ($1);
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_create_index(oid, text, text[], jsonb) IS 'work of create_index, once the copy is made';

CREATE FUNCTION anabranch.require_index(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM anabranch.external_index AS x WHERE x.copy = $1) THEN
    RAISE EXCEPTION '% is no index outside the database', $1::regclass
      USING ERRCODE = 'wrong_object_type', HINT = 'SELECT index FROM anabranch.indexes lists them; a copy that is none is dropped with drop_aggregate_table.';
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.require_index(oid) IS 'raises wrong_object_type for a copy that no engine has';

CREATE FUNCTION anabranch.carry_out_drop_index(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM anabranch.require_index($1);
  PERFORM anabranch.forget(ARRAY[$1]);
  PERFORM anabranch.notice_absence();
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_drop_index(oid) IS 'work of drop_index, once its caller is checked';

CREATE FUNCTION anabranch.carry_out_alter_index(copy oid, options jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known anabranch.external_index;
BEGIN
  PERFORM anabranch.require_index($1);
  SELECT * INTO known FROM anabranch.external_index AS x WHERE x.copy = $1 FOR UPDATE;
  PERFORM anabranch.check_index($1, known.engine, known.key, $2);
  -- What is kept at the engine about the documents lies where these say.
  IF known.options -> 'index' IS DISTINCT FROM $2 -> 'index' OR known.options -> 'slot' IS DISTINCT FROM $2 -> 'slot' THEN
    RAISE EXCEPTION 'an index keeps its name and its slot' USING ERRCODE = 'invalid_parameter_value', HINT = 'Create another one beside it, with keys of its own, and drop this one when nobody reads it.';
  END IF;
  UPDATE anabranch.external_index AS x SET options = $2, generation = x.generation + 1 WHERE x.copy = $1;
  PERFORM anabranch.require_own_pattern($1);
  UPDATE anabranch.index_progress AS p SET swept_to = NULL, swept = 0 WHERE p.copy = $1;
  PERFORM anabranch.notice_absence();
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_alter_index(oid, jsonb) IS 'work of alter_index on options, once its caller is checked';

CREATE FUNCTION anabranch.create_index(name text, engine text, query text, key text[], options jsonb DEFAULT '{}', prepare_sources boolean DEFAULT false)
RETURNS regclass LANGUAGE c
AS 'MODULE_PATHNAME', 'anabranch_create_index';
COMMENT ON FUNCTION anabranch.create_index(text, text, text, text[], jsonb, boolean) IS
  'creates an index outside the database, with a document for each row of the query; engine: a section [index.NAME] of the sidecar''s file; key: the columns a document is found by; the view of that name shows what the index has to hold';

CREATE FUNCTION anabranch.alter_index(copy regclass, query text DEFAULT NULL, options jsonb DEFAULT NULL, swap boolean DEFAULT true)
RETURNS bigint LANGUAGE c
AS 'MODULE_PATHNAME', 'anabranch_alter_index';
COMMENT ON FUNCTION anabranch.alter_index(regclass, text, jsonb, boolean) IS
  'gives an index another query (as alter_aggregate_table; the number of the run) or other options (NULL: no run); it is made anew beside the one that is read, and takes its place when it is complete';

CREATE FUNCTION anabranch.drop_index(copy regclass) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_drop_index';
COMMENT ON FUNCTION anabranch.drop_index(regclass) IS 'drops an index outside the database: its view and definition here, and by the sidecar all that its engine has of it';
