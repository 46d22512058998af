-- Transactions that change no row of a table.

CREATE TABLE t (id integer PRIMARY KEY, name text);
CREATE SEQUENCE counter;

INSERT INTO t VALUES (1, 'a');

SELECT nextval('counter'), setval('counter', 100);

SELECT lo_put(lo_from_bytea(4242, '\x0102'), 1, '\xff');

SELECT lo_unlink(4242);

SELECT txid_current();

NOTIFY heard, 'payload';

LISTEN heard; UNLISTEN heard;

BEGIN; SELECT * FROM t FOR UPDATE; COMMIT;

SELECT * FROM t FOR SHARE;

BEGIN; COMMIT;

BEGIN; ROLLBACK;

SELECT pg_advisory_xact_lock(1);

CREATE ROLE differential_role; DROP ROLE differential_role;

CREATE TABLE short_lived (a integer); DROP TABLE short_lived;

UPDATE t SET name = 'x' WHERE id = 999;

SELECT pg_logical_emit_message(false, 'p', 'between');

CHECKPOINT;

SELECT pg_switch_wal();

BEGIN; SELECT nextval('counter'); INSERT INTO t VALUES (2, 'b'); COMMIT;

CREATE TABLE extra_table (id integer PRIMARY KEY, name text); INSERT INTO t VALUES (3, 'with DDL');
