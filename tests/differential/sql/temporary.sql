-- Tables that are not in the WAL, or not for long.

CREATE TABLE t (id integer PRIMARY KEY, name text);
CREATE UNLOGGED TABLE unlogged (id integer PRIMARY KEY);
CREATE TEMPORARY TABLE temporary (id integer PRIMARY KEY);

INSERT INTO unlogged VALUES (1); UPDATE unlogged SET id = 2; DELETE FROM unlogged;

INSERT INTO temporary VALUES (1); UPDATE temporary SET id = 2; DELETE FROM temporary; TRUNCATE temporary;

BEGIN; INSERT INTO temporary VALUES (3); INSERT INTO unlogged VALUES (3); INSERT INTO t VALUES (3, 'the only one'); COMMIT;

CREATE TEMPORARY TABLE short_lived ON COMMIT DROP AS SELECT 1 AS a;

BEGIN; CREATE TEMPORARY TABLE emptied (a integer) ON COMMIT DELETE ROWS; INSERT INTO emptied VALUES (1); INSERT INTO t VALUES (4, 'beside it'); COMMIT;

CREATE TEMPORARY TABLE t (id integer, name text); INSERT INTO t VALUES (5, 'hides the other'); INSERT INTO public.t VALUES (5, 'the other');

DROP TABLE pg_temp.t; DISCARD TEMP;

INSERT INTO t VALUES (6, 'after');
