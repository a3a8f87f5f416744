\set ECHO none
\i test/fixture/start.sql
\i test/fixture/refusals.sql

-- What cannot be kept is refused with the reason and the remedy.
CREATE TABLE t (id int PRIMARY KEY, g int, v numeric, f float8, ts timestamptz, d date, x xid, gen int GENERATED ALWAYS AS (id * 2) STORED);
ALTER TABLE t REPLICA IDENTITY FULL;
CREATE TABLE u (id int PRIMARY KEY, g int, text text);
CREATE TABLE nokey (g int);
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE part (id int PRIMARY KEY, g int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
ALTER TABLE part_1 REPLICA IDENTITY FULL;
CREATE MATERIALIZED VIEW mv AS SELECT 1 AS id;
CREATE TABLE reserved (anabranch_w int PRIMARY KEY);
CREATE FUNCTION stable(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1';

SELECT plan(56);

SELECT is(refusal($q$SELECT 1; SELECT 2$q$),
$$a definition is one SELECT statement, not 2 statements$$, 'two statements');
SELECT is(refusal($q$INSERT INTO t VALUES (1)$q$),
$$a definition is a SELECT statement$$, 'no SELECT');
SELECT is(refusal($q$SELECT g FRM t$q$),
$$syntax error at or near "t"$$, 'a mistake in SQL');
SELECT is(refusal($q$SELECT * FROM nosuch$q$),
$$relation "nosuch" does not exist$$, 'an unknown table');
SELECT is(refusal($q$SELECT 1 AS one$q$),
$$every SELECT of a definition needs a table to select from$$, 'no table');
SELECT is(refusal($q$SELECT g, count(*) FROM t WHERE random() < 0.5 GROUP BY g$q$),
$$function random() is volatile, so its result cannot be kept
A definition must give the same result whenever it is evaluated.
Leave it to the queries on the aggregate table. If the function is immutable in truth, declare it so with ALTER FUNCTION.$$, 'a volatile function');
SELECT is(refusal($q$SELECT g, count(*) FROM t WHERE stable(g) = 1 GROUP BY g$q$),
$$function stable(integer) is not immutable, so its result cannot be kept
It depends on settings of the session, on the time, or on the contents of tables.
Use an immutable function or operator; for the text of a date an expression such as extract(year FROM value).$$, 'a stable function');
SELECT is(refusal($q$SELECT ts::date AS day, count(*) FROM t GROUP BY 1$q$),
$$function date(timestamp with time zone) is not immutable, so its result cannot be kept
It depends on settings of the session, on the time, or on the contents of tables.
Name the time zone: take (value AT TIME ZONE 'UTC') in place of a timestamp with time zone.$$, 'a time zone left to the session');
SELECT is(refusal($q$SELECT d::text AS day, count(*) FROM t GROUP BY 1$q$),
$$function date_out(date) is not immutable, so its result cannot be kept
It depends on settings of the session, on the time, or on the contents of tables.
Use an immutable function or operator; for the text of a date an expression such as extract(year FROM value).$$, 'the text of a date');
SELECT is(refusal($q$SELECT count(*) FROM t WHERE ts > now()$q$),
$$function now() is not immutable, so its result cannot be kept
It depends on settings of the session, on the time, or on the contents of tables.
Compare with the current time in the queries on the aggregate table.$$, 'the current time');
SELECT is(refusal($q$SELECT current_user AS u, count(*) FROM t GROUP BY 1$q$),
$$the current time, user or schema cannot be kept
A definition must give the same result whenever it is evaluated.
Compare with the current time in the queries on the aggregate table.$$, 'the current user');
SELECT is(refusal($q$SELECT id, xmlelement(name a, ts) AS x FROM t$q$),
$$XML expressions cannot be kept
What they make of a timestamp or a bytea depends on settings of the session.
Use them in a query on the aggregate table.$$, 'XML');
SELECT is(refusal($q$SELECT g, sum(f) FROM t GROUP BY g$q$),
$$sum(double precision) cannot be kept exactly
Sums of floating-point numbers depend on the order in which they are added, and what was added cannot be taken away.
Cast the argument to numeric.$$, 'floating point');
SELECT is(refusal($q$SELECT corr(f, f) FROM t$q$),
$$corr(double precision,double precision) is not yet kept incrementally
Kept are count, sum, avg, variance, var_pop, var_samp, stddev, stddev_pop, stddev_samp, bool_and, bool_or and every.$$, 'a correlation');
SELECT is(refusal($q$SELECT g, max(v) FROM t GROUP BY g$q$),
$$max(numeric) is not yet kept incrementally
Kept are count, sum, avg, variance, var_pop, var_samp, stddev, stddev_pop, stddev_samp, bool_and, bool_or and every.$$, 'a maximum');
SELECT is(refusal($q$SELECT g, count(DISTINCT v) FROM t GROUP BY g$q$),
$$DISTINCT in an aggregate is not yet kept incrementally
Create an aggregate table that groups by the distinct values too, and count its rows.$$, 'distinct values');
SELECT is(refusal($q$SELECT g, sum(v ORDER BY id) FROM t GROUP BY g$q$),
$$ORDER BY in an aggregate is not yet kept incrementally
Sums and counts do not depend on the order: leave it out.$$, 'an order inside an aggregate');
SELECT is(refusal($q$SELECT t.g, count(*) FROM t JOIN u USING (id) GROUP BY 1$q$),
$$joins are not yet kept incrementally
Combine tables with UNION ALL, and group their rows by the common key.$$, 'a join');
SELECT is(refusal($q$SELECT t.g, count(*) FROM t, u GROUP BY 1$q$),
$$joins are not yet kept incrementally
Combine tables with UNION ALL, and group their rows by the common key.$$, 'a join by WHERE');
SELECT is(refusal($q$SELECT id, row_number() OVER () FROM t$q$),
$$window functions are not yet kept incrementally
Use them in a query on the aggregate table.$$, 'a window');
SELECT is(refusal($q$SELECT id FROM t LIMIT 1$q$),
$$LIMIT and OFFSET are not yet kept incrementally
Use them in a query on the aggregate table.$$, 'LIMIT');
SELECT is(refusal($q$SELECT id FROM t ORDER BY id$q$),
$$an aggregate table has no order
Leave ORDER BY to the queries on the aggregate table.$$, 'ORDER BY');
SELECT is(refusal($q$SELECT DISTINCT g FROM t$q$),
$$SELECT DISTINCT is not kept
GROUP BY the selected columns instead; the result is the same.$$, 'DISTINCT');
SELECT is(refusal($q$SELECT id, generate_series(1, g) FROM t$q$),
$$set-returning functions are not yet kept incrementally
Call them in a query on the aggregate table.$$, 'a set-returning function');
SELECT is(refusal($q$SELECT id FROM t WHERE id IN (SELECT id FROM u)$q$),
$$subqueries in expressions are not yet kept incrementally
Subqueries in FROM are, when each selects from one table.$$, 'a subquery in an expression');
SELECT is(refusal($q$SELECT g, count(*) FROM t GROUP BY ROLLUP (g)$q$),
$$grouping sets are not yet kept incrementally
Create one aggregate table for each set of group columns.$$, 'grouping sets');
SELECT is(refusal($q$SELECT id FROM t UNION SELECT id FROM u$q$),
$$UNION is not yet kept incrementally
UNION ALL is.$$, 'UNION');
SELECT is(refusal($q$WITH RECURSIVE x AS (SELECT id FROM t UNION ALL SELECT id FROM x) SELECT * FROM x$q$),
$$recursive queries are not kept incrementally$$, 'recursion');
SELECT is(refusal($q$WITH x AS (DELETE FROM t RETURNING id) SELECT * FROM x$q$),
$$a definition may not write
Use SELECT alone.$$, 'writing');
SELECT is(refusal($q$SELECT id FROM t FOR UPDATE$q$),
$$a definition may not lock rows
Leave out FOR UPDATE or FOR SHARE.$$, 'row locks');
SELECT is(refusal($q$SELECT * FROM generate_series(1, 3)$q$),
$$functions in FROM are not kept incrementally$$, 'a function in FROM');
SELECT is(refusal($q$VALUES (1)$q$),
$$rows that come from no table are not kept
Put the rows into a table.$$, 'VALUES');
SELECT is(refusal($q$SELECT id FROM t TABLESAMPLE SYSTEM (10)$q$),
$$TABLESAMPLE cannot be kept$$, 'a sample');
SELECT is(refusal($q$SELECT t FROM t$q$),
$$a row taken as one value is not kept
Name the columns one by one.$$, 'a whole row');
SELECT is(refusal($q$SELECT tableoid, count(*) FROM t GROUP BY 1$q$),
$$system columns are not kept
Their values are not in the stream of changes.$$, 'a system column');
SELECT is(refusal($q$SELECT relname FROM pg_class$q$),
$$table pg_catalog.pg_class cannot be a source: it is a system table
Changes of system tables are not published.$$, 'a system table');
SELECT is(refusal($q$SELECT id FROM unlogged$q$),
$$table public.unlogged cannot be a source: it is unlogged
Changes of unlogged tables are not written to the WAL.
Run ALTER TABLE public.unlogged SET LOGGED, which writes the whole table to the WAL once.$$, 'an unlogged table');
SELECT is(refusal($q$SELECT id FROM parent$q$),
$$table public.parent cannot be a source: other tables inherit from it
Select from ONLY public.parent, and from each child in a branch of UNION ALL.$$, 'a table with children');
SELECT is(refusal($q$SELECT id FROM ONLY part$q$),
$$table public.part cannot be a source: ONLY of a partitioned table has no rows
Leave out ONLY.$$, 'ONLY of a partitioned table');
SELECT is(refusal($q$SELECT id FROM mv$q$),
$$table public.mv cannot be a source: it is a foreign table or a materialized view
Only changes of ordinary and partitioned tables are published.$$, 'a materialized view');
SELECT is(refusal($q$SELECT relation FROM anabranch.generation$q$),
$$table anabranch.generation cannot be a source: it belongs to anabranch
Define the new copy over the tables that the other is made of.$$, 'a table of our own');
SELECT is(refusal($q$SELECT gen, count(*) FROM t GROUP BY 1$q$),
$$generated column "gen" of table public.t is not in the stream of changes
Write its expression in the definition.$$, 'a generated column');
SELECT is(refusal($q$SELECT x, count(*) FROM t GROUP BY x$q$),
$$group column "x" has type xid, which has no order
The groups are found by a B-tree index.
Cast it to a type with an order, such as text.$$, 'a group key without an order');
SELECT is(refusal($q$SELECT sum(n) FROM (SELECT g, count(*) AS n FROM t GROUP BY g) AS s$q$),
$$aggregates over aggregates are not yet kept incrementally
Create an aggregate table for the inner query.$$, 'an aggregate over an aggregate');
SELECT is(refusal($q$SELECT count(*) FROM t UNION ALL SELECT count(*) FROM u$q$),
$$aggregates below UNION ALL are not yet kept incrementally
Put UNION ALL into FROM and aggregate its result, or create a table for each branch.$$, 'aggregates below UNION ALL');
SELECT is(refusal($q$SELECT id, g, count(*) FROM t GROUP BY id$q$),
$$a column that is neither grouped nor aggregated is not kept, even where a key determines it
Name every such column in GROUP BY.$$, 'a column that a key determines');
SELECT is(refusal($q$SELECT g FROM t, LATERAL (SELECT t.g + 1) AS x$q$),
$$joins are not yet kept incrementally
Combine tables with UNION ALL, and group their rows by the common key.$$, 'LATERAL');
SELECT is(refusal($q$SELECT $1 FROM t$q$),
$$there is no parameter $1$$, 'a parameter');
SELECT is(refusal($q$SELECT id AS a, g AS a FROM t$q$),
$$column "a" specified more than once
Name the columns of the definition with AS.$$, 'two columns of a name');
SELECT is(refusal($q$SELECT FROM t$q$),
$$a definition needs at least one column$$, 'no column');
SELECT is(refusal($q$SELECT row(id, g) AS r FROM t$q$),
$$column "r" has type record, which no table can hold
Select the fields one by one, or cast to a type of your own.$$, 'a row as a column');
SELECT is(refusal($q$SELECT anabranch_w, count(*) FROM reserved GROUP BY 1$q$),
$$column "anabranch_w" of table public.reserved has a name that anabranch uses$$, 'a reserved name');
SELECT is(refusal($q$SELECT g, count(*) FROM u GROUP BY g$q$),
$$the replica identity of table public.u does not suffice
Old values of these columns are needed and not in the stream: "g".
Run ALTER TABLE ONLY public.u REPLICA IDENTITY FULL; every UPDATE and DELETE on it then writes the whole old row to the WAL. prepare_sources => true does it.$$, 'a replica identity that does not suffice');
SELECT is(refusal($q$SELECT g, count(*) FROM nokey GROUP BY g$q$),
$$the replica identity of table public.nokey does not suffice
It has no key that the stream could tell rows by, and once it is published UPDATE and DELETE on it would fail.
Run ALTER TABLE ONLY public.nokey REPLICA IDENTITY FULL; every UPDATE and DELETE on it then writes the whole old row to the WAL. Or add a primary key. prepare_sources => true does it.$$, 'no replica identity');
SELECT is(refusal($q$SELECT g, count(*) FROM part GROUP BY g$q$),
$$the replica identity of table public.part_2 does not suffice
Old values of these columns are needed and not in the stream: "g".
Run ALTER TABLE ONLY public.part_2 REPLICA IDENTITY FULL; every UPDATE and DELETE on it then writes the whole old row to the WAL. prepare_sources => true does it.$$, 'a partition without');
SELECT is(refusal($q$SELECT id, text FROM u$q$),
$$the replica identity of table public.u does not suffice
Old values of these columns are needed and not in the stream: "text".
Run ALTER TABLE ONLY public.u REPLICA IDENTITY FULL; every UPDATE and DELETE on it then writes the whole old row to the WAL. prepare_sources => true does it.$$, 'a value that may be out of line');
SELECT * FROM finish();
ROLLBACK;
