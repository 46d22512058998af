-- Logical messages. Format 1 writes a stray comma where one outside of a transaction follows a transaction of several changes.
-- damage: {"change":[,{"kind":"message" => {"change":[{"kind":"message"

CREATE TABLE t (id integer PRIMARY KEY, name text);

SELECT pg_logical_emit_message(false, 'outside', 'before anything');

INSERT INTO t VALUES (1, 'a');

SELECT pg_logical_emit_message(false, 'outside', 'after one change');

INSERT INTO t VALUES (2, 'b'), (3, 'c');

SELECT pg_logical_emit_message(false, 'outside', 'after two changes');

SELECT pg_logical_emit_message(false, 'outside', 'and another');

SELECT pg_logical_emit_message(true, 'inside', 'alone');

SELECT pg_logical_emit_message(false, 'outside', 'after one message');

BEGIN; SELECT pg_logical_emit_message(true, 'inside', 'first'); INSERT INTO t VALUES (4, 'd'); SELECT pg_logical_emit_message(true, 'inside', 'between'); DELETE FROM t WHERE id = 4; SELECT pg_logical_emit_message(true, 'inside', 'last'); COMMIT;

BEGIN; INSERT INTO t VALUES (5, 'e'); SELECT pg_logical_emit_message(false, 'outside', 'while inside'); INSERT INTO t VALUES (6, 'f'); COMMIT;

BEGIN; INSERT INTO t VALUES (7, 'g'); SELECT pg_logical_emit_message(true, 'inside', 'rolled back'), pg_logical_emit_message(false, 'outside', 'from a transaction that is rolled back'); ROLLBACK;

BEGIN; SELECT pg_logical_emit_message(true, 'inside', 'kept'); SAVEPOINT s; SELECT pg_logical_emit_message(true, 'inside', 'taken back'); ROLLBACK TO s; COMMIT;

SELECT pg_logical_emit_message(true, '', ''), pg_logical_emit_message(false, '', '');

SELECT pg_logical_emit_message(true, 'quo"te\', E'"\\/\b\f\n\r\t\x01\x1f\x7f'), pg_logical_emit_message(false, E'a\nb', E'"change":[,{"kind":"message"\n{"change":[');

SELECT pg_logical_emit_message(true, '😀', '日本語 😀'), pg_logical_emit_message(true, 'looks like', '{"nextlsn":"0/1","change":[]}'), pg_logical_emit_message(true, 'a,b c.d', 'prefix to be quoted');

SELECT pg_logical_emit_message(true, 'large', repeat('0123456789', 20000)), pg_logical_emit_message(false, 'large', repeat('0123456789', 20000));

SELECT pg_logical_emit_message(true, 'outer', 'with a change'), pg_logical_emit_message(false, 'outer', 'and outside'); INSERT INTO t VALUES (8, 'h'); TRUNCATE t;

SELECT pg_logical_emit_message(false, 'outside', 'after truncate');
