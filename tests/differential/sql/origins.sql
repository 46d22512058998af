-- Changes that came from another server, as includeOrigin tells.

CREATE TABLE t (id integer PRIMARY KEY, name text);

INSERT INTO t VALUES (1, 'from here');

SELECT pg_replication_origin_create('differential north'), pg_replication_origin_create('differential south');

SELECT pg_replication_origin_session_setup('differential north');

INSERT INTO t VALUES (2, 'from the north');

BEGIN; SELECT pg_replication_origin_xact_setup('0/ABCDEF', '2024-01-01 00:00:00+00'); INSERT INTO t VALUES (3, 'from the north, with a position'); SELECT pg_logical_emit_message(true, 'p', 'from the north'), pg_logical_emit_message(false, 'p', 'from the north, outside'); COMMIT;

CREATE TABLE empty_from_the_north (a integer);

SELECT pg_replication_origin_session_reset();

SELECT pg_replication_origin_session_setup('differential south');

UPDATE t SET name = 'from the south';

SELECT pg_replication_origin_session_reset();

DELETE FROM t;

SELECT pg_replication_origin_drop('differential north'), pg_replication_origin_drop('differential south');
