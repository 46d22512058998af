-- Composite types, enums and domains.

CREATE TYPE mood AS ENUM ('sad', 'ok', '"quoted"', 'back\slash', 'ü', '');
CREATE TYPE inner_type AS (a integer, b text, c boolean);
CREATE TYPE outer_type AS (one inner_type, many inner_type[], feeling mood, amount numeric(5, 2));
CREATE TYPE nothing AS ();
CREATE DOMAIN small_integer AS integer CHECK (VALUE BETWEEN -5 AND 5);
CREATE DOMAIN smaller_integer AS small_integer CHECK (VALUE > 0);
CREATE DOMAIN words AS text NOT NULL DEFAULT 'none';
CREATE DOMAIN flag AS boolean;
CREATE DOMAIN price AS numeric(10, 2);
CREATE DOMAIN code AS varchar(3);
CREATE DOMAIN raw AS bytea;
CREATE DOMAIN document AS jsonb CHECK (VALUE ? 'id');
CREATE DOMAIN feeling AS mood;
CREATE DOMAIN pair AS inner_type;
CREATE DOMAIN moment AS timestamptz(3);
CREATE DOMAIN several AS small_integer[];
CREATE SCHEMA extra;
CREATE TYPE extra.mood AS ENUM ('elsewhere');
CREATE DOMAIN extra.number AS bigint;

CREATE TABLE t (
    id serial PRIMARY KEY, m mood, i inner_type, o outer_type, n nothing, si small_integer, smi smaller_integer, w words, f flag, p price, c code, r raw,
    d document, fe feeling, pa pair, mo moment, s several, em extra.mood, en extra.number
);

INSERT INTO t (m) VALUES ('sad'), ('"quoted"'), ('back\slash'), ('ü'), (''), (NULL);
INSERT INTO t (i, o, n) VALUES ((1, 'a"b\c,(', true), ((1, '', NULL), ARRAY[(2, NULL, false), NULL]::inner_type[], 'ok', 1.5), ROW()), (NULL, (NULL, NULL, NULL, NULL), NULL), ((NULL, NULL, NULL), ((1, E'\n', true), '{}', '"quoted"', 0), ROW());
INSERT INTO t (si, smi, w, f, p, c, r, d) VALUES (-5, 5, '', true, 1.5, 'abc', '\x00ff', '{"id": 1}'), (NULL, NULL, 'w', NULL, 'NaN', NULL, '', NULL), (0, 1, E'"\n', false, 0.10, '', '\xff', '{"id": "x\"y"}');
INSERT INTO t (fe, pa, mo, s, em, en) VALUES ('ok', (1, 'b', true), '2024-01-01 00:00:00.1234Z', '{1,NULL}', 'elsewhere', 9007199254740993);

UPDATE t SET si = 1, f = NOT f, p = p + 1;

ALTER TYPE mood ADD VALUE 'new';

UPDATE t SET m = 'new', en = -1 WHERE m = 'sad';

ALTER TYPE mood RENAME VALUE 'new' TO 'renamed';

ALTER TYPE inner_type ADD ATTRIBUTE d integer CASCADE;

INSERT INTO t (i) VALUES ((1, 'b', true, 4));

CREATE TABLE of_type OF inner_type (PRIMARY KEY (a));

INSERT INTO of_type VALUES (1, 'x', true, 2);

UPDATE of_type SET a = 2;

CREATE TABLE extra.keyed_by_domain (a small_integer, b words, c price, d feeling, e flag, PRIMARY KEY (a, b, c, d, e));

INSERT INTO extra.keyed_by_domain VALUES (1, 'b', 1.5, 'ok', true);

UPDATE extra.keyed_by_domain SET a = 2, e = false;

DELETE FROM extra.keyed_by_domain;

DELETE FROM t;
