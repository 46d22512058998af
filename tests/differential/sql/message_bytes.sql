-- Logical messages may be any bytes, and before version 16 Postgres shows the single byte of a "char" as it is.
-- damage: bytes
-- damage: {"change":[,{"kind":"message" => {"change":[{"kind":"message"

CREATE TABLE t (id integer PRIMARY KEY, name text);

SELECT pg_logical_emit_message(true, 'p', '\xff41'::bytea);

SELECT pg_logical_emit_message(false, 'p', '\x41ff'::bytea);

SELECT pg_logical_emit_message(true, 'p', '\x410042'::bytea), pg_logical_emit_message(true, 'p', '\x00'::bytea), pg_logical_emit_message(true, 'p', ''::bytea);

INSERT INTO t VALUES (1, 'a'), (2, 'b');

SELECT pg_logical_emit_message(false, 'p', '\xc3'::bytea);

SELECT pg_logical_emit_message(true, 'p', '\xc328e28261f09f98'::bytea), pg_logical_emit_message(true, 'p', '\xeda080'::bytea), pg_logical_emit_message(true, 'p', '\xf4908080'::bytea);

SELECT pg_logical_emit_message(true, 'p', decode(string_agg(lpad(to_hex(byte), 2, '0'), ''), 'hex')) FROM generate_series(1, 255) AS byte;

SELECT pg_logical_emit_message(false, 'p', decode(string_agg(lpad(to_hex(byte), 2, '0'), ''), 'hex')) FROM generate_series(128, 255) AS byte;

INSERT INTO t VALUES (3, 'c');

CREATE TABLE chars (c "char" PRIMARY KEY, name text);

INSERT INTO chars VALUES ('ü', 'cut after its first byte'), ('€', 'as well');

UPDATE chars SET c = 'c' WHERE c = 'ü';

DELETE FROM chars;
