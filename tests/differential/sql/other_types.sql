-- What else a column can be: networks, shapes, text search, identifiers, references to the catalogue.

CREATE TABLE networks (id serial PRIMARY KEY, i inet, c cidr, m macaddr, m8 macaddr8);

INSERT INTO networks (i, c, m, m8) VALUES ('192.168.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05'), ('192.168.0.1/24', '0.0.0.0/0', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff'), ('::1', '::/0', NULL, NULL), ('2001:db8::ff00:42:8329/64', '2001:db8::/32', NULL, NULL), (NULL, NULL, NULL, NULL);

UPDATE networks SET i = i + 1;

CREATE TABLE shapes (id serial PRIMARY KEY, p point, l line, s lseg, b box, open_path path, closed_path path, y polygon, c circle);

INSERT INTO shapes (p, l, s, b, open_path, closed_path, y, c) VALUES ('(1,2.5)', '{1,-1,0}', '[(0,0),(1,1)]', '(3,4),(1,2)', '[(0,0),(1,1)]', '((0,0),(1,1),(2,0))', '((0,0),(1,1),(2,0))', '<(0,0),5>'), ('(NaN,Infinity)', '{0,1,0.1}', '[(1e308,-0),(5e-324,0)]', '(0,0),(0,0)', NULL, NULL, NULL, '<(0,0),0>');

CREATE TABLE t (id serial PRIMARY KEY, u uuid, tv tsvector, tq tsquery, lsn pg_lsn, o oid, x xid, x8 xid8, c cid, ti tid, sn pg_snapshot, tx txid_snapshot);

INSERT INTO t (u) VALUES ('00000000-0000-0000-0000-000000000000'), ('FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'), (NULL);
INSERT INTO t (tv, tq) VALUES ('a fat:1A,2B ''cat''''s'' "x\\y', 'fat & (rat | !cat) <-> ''it''''s'':*A'), ('', '');
INSERT INTO t (lsn, o, x, x8, c, ti, sn, tx) VALUES ('FFFFFFFF/FFFFFFFF', 4294967295, '4294967295', '18446744073709551615', '7', '(4294967295,65535)', '10:20:10,14', '10:20:10,14'), ('0/0', 0, '0', '0', '0', '(0,0)', '1:1:', '1:1:');

UPDATE t SET tv = tv || 'new:5', o = o WHERE tv IS NOT NULL;

CREATE TABLE names (id serial PRIMARY KEY, c regclass, p regproc, pd regprocedure, o regoper, od regoperator, ty regtype, r regrole, n regnamespace, co regcollation, cf regconfig, d regdictionary);

INSERT INTO names (c, p, pd, o, od, ty, r, n, co, cf, d) VALUES ('pg_class', 'now', 'abs(integer)', '||/', '+(integer,integer)', 'timestamp with time zone', 'pg_read_all_data', 'pg_catalog', '"C"', 'simple', 'simple'), ('t', NULL, NULL, NULL, NULL, 'integer[]', NULL, 'public', NULL, NULL, NULL), (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

ALTER TABLE t REPLICA IDENTITY FULL;

UPDATE t SET u = NULL;

DELETE FROM t;

CREATE TABLE keyed (i inet, m macaddr, u uuid, o oid, l pg_lsn, x8 xid8, v tsvector, PRIMARY KEY (i, m, u, o, l, x8, v));

INSERT INTO keyed VALUES ('::1', '08:00:2b:01:02:03', '00000000-0000-0000-0000-000000000000', 5, '0/5', '5', 'a');

UPDATE keyed SET o = 6;

DELETE FROM keyed;

CREATE TABLE catalogue (id serial PRIMARY KEY, a aclitem, l aclitem[], c pg_node_tree);

INSERT INTO catalogue (a, l) VALUES ('postgres=arw/postgres', '{=r/postgres}');
