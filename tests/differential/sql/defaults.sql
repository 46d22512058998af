-- Defaults that are hard to quote: with includeDefault, wal2json copies them as they are.
-- damage: "'"'::text" => "'\"'::text"
-- damage: "'\'::text" => "'\\'::text"
-- damage: "'{"a": [1, "b"]}'::jsonb" => "'{\"a\": [1, \"b\"]}'::jsonb"
-- damage: '"b"'::text]" => '\"b\"'::text]"
-- damage: concat('a', '	', 'b') => concat('a', '\t', 'b')
-- damage: "'first␤second {"nextlsn":"'::text" => "'first\nsecond {\"nextlsn\":\"'::text"
-- damage: "repeat('"'::text, 3)" => "repeat('\"'::text, 3)"

CREATE SCHEMA extra;
CREATE TYPE mood AS ENUM ('so so', 'ok');

CREATE TABLE t (
    id integer PRIMARY KEY DEFAULT 1, quoted text DEFAULT '"', single text DEFAULT 'it''s', back text DEFAULT '\', casted mood DEFAULT 'so so',
    document jsonb DEFAULT '{"a": [1, "b"]}', listed text[] DEFAULT ARRAY['a', '"b"'], emoji text DEFAULT '😀', number numeric DEFAULT -1.50,
    called text DEFAULT concat('a', E'\t', 'b'), at timestamptz DEFAULT timestamptz '2024-01-01 00:00:00+00', nothing text DEFAULT NULL,
    lines text DEFAULT E'first\nsecond {"nextlsn":"', truth boolean DEFAULT (1 > 2), wide text DEFAULT repeat('"', 3)
);

INSERT INTO t DEFAULT VALUES;

UPDATE t SET id = 2;

BEGIN; INSERT INTO t DEFAULT VALUES; DELETE FROM t WHERE id = 2; INSERT INTO t (id) VALUES (3); COMMIT;

CREATE TABLE extra.plain (id serial PRIMARY KEY, word text DEFAULT 'word', made text GENERATED ALWAYS AS ('"' || word) STORED);

INSERT INTO extra.plain DEFAULT VALUES;
