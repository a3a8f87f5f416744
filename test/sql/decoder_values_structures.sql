-- Types with a structure of their own: jsonb, tsvector, geometry, networks, bits, uuid, identifiers of the system.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

CREATE TABLE samples (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  jsonb jsonb, jsonpath jsonpath, tsvector tsvector, tsquery tsquery, point point, line line, lseg lseg, box box, path path, polygon polygon,
  circle circle, inet inet, cidr cidr, macaddr macaddr, macaddr8 macaddr8, bit_3 bit(3), varbit varbit, uuid uuid, pg_lsn pg_lsn, tid tid, xid xid,
  cid cid, regclass regclass, regproc regproc, regprocedure regprocedure, regtype regtype, oidvector oidvector, int2vector int2vector,
  pg_snapshot pg_snapshot, xid8 xid8, refcursor refcursor, aclitem aclitem);
CREATE PUBLICATION decoder FOR TABLE samples;
SELECT pg_temp.open();

INSERT INTO samples (jsonb) VALUES ('{"b": 1.50, "a": [1, null, "x\"y", {"c": true}]}'), ('null'), ('1e400'), ('"\u00e9😀"'), ('{}'), ('[]'),
  ((SELECT jsonb_agg(i) FROM generate_series(1, 5000) AS i));
INSERT INTO samples (jsonpath) VALUES ('$.a[*] ? (@.b > 1)');
INSERT INTO samples (tsvector) VALUES ('''a b'':1A,2B c:3'), ('''''''q'':5');
INSERT INTO samples (tsquery) VALUES ('a & !b <2> (c | d:*A)');
INSERT INTO samples (point) VALUES ('(0.1,-0)'), ('(NaN,Infinity)');
INSERT INTO samples (line) VALUES ('{1,-2,0.3}');
INSERT INTO samples (lseg) VALUES ('[(1,2),(3,4)]');
INSERT INTO samples (box) VALUES ('(3,4),(1,2)');
INSERT INTO samples (path) VALUES ('[(1,2),(3,4)]'), ('((1,2),(3,4))');
INSERT INTO samples (polygon) VALUES ('((0,0),(1,0),(1,1e-300))');
INSERT INTO samples (circle) VALUES ('<(1,2),0.1>');
INSERT INTO samples (inet) VALUES ('192.168.0.1/24'), ('::1'), ('::ffff:1.2.3.4/128');
INSERT INTO samples (cidr) VALUES ('10.0.0.0/8'), ('2001:db8::/32');
INSERT INTO samples (macaddr) VALUES ('08:00:2b:01:02:03');
INSERT INTO samples (macaddr8) VALUES ('08:00:2b:01:02:03:04:05');
INSERT INTO samples (bit_3) VALUES (B'101');
INSERT INTO samples (varbit) VALUES (B'0'), (repeat('01', 500)::varbit);
INSERT INTO samples (uuid) VALUES ('00000000-0000-0000-0000-000000000000'), ('ffffffff-ffff-ffff-ffff-ffffffffffff');
INSERT INTO samples (pg_lsn) VALUES ('FFFFFFFF/FFFFFFFF'), ('0/0');
INSERT INTO samples (tid) VALUES ('(4294967295,65535)');
INSERT INTO samples (xid) VALUES ('4294967295');
INSERT INTO samples (cid) VALUES ('7');
INSERT INTO samples (regclass) VALUES ('pg_class'), (4294967295::oid::regclass);
INSERT INTO samples (regproc) VALUES ('now');
INSERT INTO samples (regprocedure) VALUES ('lower(text)');
INSERT INTO samples (regtype) VALUES ('timestamp with time zone'), ('int4[]');
INSERT INTO samples (oidvector) VALUES ('1 2 3');
INSERT INTO samples (int2vector) VALUES ('-1 0 7');
INSERT INTO samples (pg_snapshot) VALUES ('10:20:10,14,15');
INSERT INTO samples (xid8) VALUES ('18446744073709551615');
INSERT INTO samples (refcursor) VALUES ('c');
INSERT INTO samples (aclitem) VALUES ('=r/postgres');

\i test/fixture/decoded_samples.sql
