-- A history in which everything happens that there is a branch for. What wal2json writes of it is in format-1.jsonl and format-2.jsonl.

CREATE SCHEMA "Shop"; CREATE SCHEMA extra;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'a "b"\');
CREATE TYPE "Shop".size AS ENUM ('S', 'M');
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN flag AS boolean;
CREATE DOMAIN price AS numeric(10, 2);
CREATE DOMAIN document AS jsonb;
CREATE DOMAIN words AS text[];
CREATE FUNCTION noise(bytes integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT left(string_agg(md5(n::text), ''), bytes) FROM generate_series(1, bytes / 32 + 1) AS n
$$;

CREATE TABLE every_type (
    key serial PRIMARY KEY, a_boolean boolean, a_smallint smallint, an_integer integer, a_bigint bigint, a_real real, a_double double precision,
    a_numeric numeric, a_short_numeric numeric(12, 4), a_money money, a_text text, a_varchar varchar(20), a_char char(6), a_quoted_char "char", a_name name,
    a_bytea bytea, a_bit bit(3), a_varbit bit varying(8), a_json json, a_jsonb jsonb, a_jsonpath jsonpath, a_date date, a_time time, a_timetz timetz,
    a_timestamp timestamp, a_timestamptz timestamptz(3), an_interval interval, a_uuid uuid, an_inet inet, a_cidr cidr, a_macaddr macaddr,
    a_macaddr8 macaddr8, a_point point, a_line line, an_lseg lseg, a_box box, a_path path, a_polygon polygon, a_circle circle, a_tsvector tsvector,
    a_tsquery tsquery, an_oid oid, a_regclass regclass, a_regtype regtype, a_pg_lsn pg_lsn, an_xid8 xid8, a_tid tid, a_snapshot pg_snapshot, an_int4range int4range,
    a_numrange numrange, a_tstzrange tstzrange, a_multirange int4multirange, a_mood mood, a_pair pair, a_positive positive, a_flag flag, a_price price,
    a_document document, some_words words, integers integer[], texts text[], numbers numeric[], moods mood[], pairs pair[], jsons jsonb[], times timestamptz[]
);

INSERT INTO every_type DEFAULT VALUES;

INSERT INTO every_type VALUES (
    DEFAULT, true, 32767, -2147483648, 9223372036854775807, 3.4e38, 1e308, 123456789012345678901234567890123456789012345678901234567890.012345678901234567890123456789,
    0.1000, 12.34, E'a "quoted" \\ line\nfeed\ttab \x01\x1f\x7f 😀 \u2028', 'varchar', 'char', 'c', 'name', '\x00ff5c22', B'101', B'1', E'{"a":\n1e400, "b": [true, null, "\\u00e9"]}',
    '{"a": {"b": [1.10, "x"]}}', '$.a[*] ? (@ > 1)', '2024-02-29', '23:59:59.999999', '12:00:00+05:30', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789+09',
    '1 year 2 mons 3 days 04:05:06.789', '00000000-0000-4000-8000-00000000000f', '192.168.0.1/24', '2001:db8::/32', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1,2.5)', '{1,-1,0}',
    '[(0,0),(1,1)]', '(3,4),(1,2)', '[(0,0),(1,1)]', '((0,0),(1,1),(2,0))', '<(0,0),5>', 'a:1A fat:2', 'a & !b', 4294967295, 'pg_class', 'integer[]', 'A/FFFFFFFF', '18446744073709551615',
    '(1,2)', '10:20:10,14', '[1,5]', '(1.0,2.0]', '[2024-01-01 00:00+00,)', '{[1,2],[5,7)}', 'a "b"\', (1, 'x,"y"'), 5, false, 1.5, '{"d": 1}', '{a,"b c",NULL}', '[0:1]={1,NULL}',
    '{{"a","b,c"},{"d\"e",NULL}}', '{0.1,NaN}', '{ok,sad}', ARRAY[(1, 'a'), NULL]::pair[], ARRAY['{"a": 1}']::jsonb[], '{infinity,"2024-01-01 00:00:00+09"}'
);

INSERT INTO every_type (a_real, a_double, a_numeric, a_short_numeric, a_date, a_timestamp, a_timestamptz, an_interval) VALUES
    ('NaN', 'NaN', 'NaN', 'NaN', 'infinity', 'infinity', 'infinity', '0'),
    ('-Infinity', 'Infinity', '-Infinity', NULL, '-infinity', '-infinity', '-infinity', '-1 mons +2 days -00:00:01'),
    ('-0', 5e-324, 1e1000, -0.0001, '0044-03-15 BC', '0044-03-15 12:00:00.5 BC', '0044-03-15 12:00:00.5+00 BC', '178000000 years');

UPDATE every_type SET a_boolean = NOT a_boolean WHERE key = 2;

DELETE FROM every_type WHERE key > 3;

CREATE TABLE by_default (id integer PRIMARY KEY, name text NOT NULL DEFAULT 'none', large text, other text);
CREATE TABLE by_full (id integer PRIMARY KEY, name text NOT NULL DEFAULT 'none', large text, other text);
CREATE TABLE by_index (id integer PRIMARY KEY, name text NOT NULL DEFAULT 'none', large text, other text);
CREATE UNIQUE INDEX by_index_name ON by_index (name);
CREATE TABLE by_nothing (id integer PRIMARY KEY, name text NOT NULL DEFAULT 'none', large text, other text);
CREATE TABLE keyless (id integer, name text);
ALTER TABLE by_full REPLICA IDENTITY FULL; ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_name; ALTER TABLE by_nothing REPLICA IDENTITY NOTHING;
ALTER TABLE by_default ALTER large SET STORAGE EXTERNAL; ALTER TABLE by_full ALTER large SET STORAGE EXTERNAL; ALTER TABLE by_index ALTER large SET STORAGE EXTERNAL; ALTER TABLE by_nothing ALTER large SET STORAGE EXTERNAL;

INSERT INTO by_default VALUES (1, 'one', noise(2400)), (2, 'two', NULL); INSERT INTO by_full SELECT * FROM by_default; INSERT INTO by_index SELECT * FROM by_default; INSERT INTO by_nothing SELECT * FROM by_default; INSERT INTO keyless VALUES (1, 'one');

UPDATE by_default SET other = 'large stays'; UPDATE by_full SET other = 'large stays'; UPDATE by_index SET other = 'large stays'; UPDATE by_nothing SET other = 'large stays'; UPDATE keyless SET name = 'x';

UPDATE by_default SET id = id + 10, name = name || '!'; UPDATE by_full SET id = id + 10, name = name || '!'; UPDATE by_index SET id = id + 10, name = name || '!'; UPDATE by_nothing SET id = id + 10;

UPDATE by_default SET large = 'short' WHERE id = 11; UPDATE by_full SET large = 'short' WHERE id = 11; UPDATE by_index SET large = 'short' WHERE id = 11;

DELETE FROM by_default; DELETE FROM by_full; DELETE FROM by_index; DELETE FROM by_nothing; DELETE FROM keyless;

CREATE TABLE columns (
    key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount numeric DEFAULT 1.50, doubled numeric GENERATED ALWAYS AS (amount * 2) STORED,
    dropped text, counted serial, optional text DEFAULT NULL, computed text NOT NULL DEFAULT lower('X')
);
INSERT INTO columns (amount) VALUES (1), (2);
ALTER TABLE columns DROP COLUMN dropped, ADD COLUMN late boolean DEFAULT true;

UPDATE columns SET amount = 3 WHERE key = 1; INSERT INTO columns DEFAULT VALUES;

CREATE TABLE "Shop"."Orders" ("Id" integer PRIMARY KEY, "co""l,umn" text, size "Shop".size, sizes "Shop".size[]);

INSERT INTO "Shop"."Orders" VALUES (1, 'a', 'S', '{S,M}'); DELETE FROM "Shop"."Orders";

CREATE TABLE partitioned (region text, id integer, name text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE partitioned_north PARTITION OF partitioned FOR VALUES IN ('north');
CREATE TABLE extra.partitioned_rest PARTITION OF partitioned DEFAULT PARTITION BY RANGE (id);
CREATE TABLE extra.partitioned_rest_low PARTITION OF extra.partitioned_rest FOR VALUES FROM (0) TO (100);

COPY partitioned (region, id, name) FROM STDIN
north	1	one
south	2	two
north	3	\N

UPDATE partitioned SET region = 'south' WHERE region = 'north' AND id = 1;

ALTER TABLE partitioned DETACH PARTITION partitioned_north; DELETE FROM partitioned_north;

COPY by_default (id, name) FROM STDIN
100	shares its position
101	with\ttab and \\
102	the others

BEGIN; INSERT INTO keyless VALUES (1, 'kept'); SAVEPOINT s; INSERT INTO keyless VALUES (2, 'taken back'); ROLLBACK TO s; INSERT INTO keyless VALUES (3, 'kept'); COMMIT;

BEGIN; INSERT INTO keyless VALUES (4, 'rolled back'); SELECT pg_logical_emit_message(true, 'p', 'rolled back'), pg_logical_emit_message(false, 'p', 'outside'); ROLLBACK;

TRUNCATE keyless;

BEGIN; INSERT INTO keyless VALUES (5, 'before'); TRUNCATE keyless, by_default, "Shop"."Orders"; INSERT INTO keyless VALUES (6, 'after'); COMMIT;

INSERT INTO keyless VALUES (7, 'of two'), (8, 'of two');

SELECT pg_logical_emit_message(false, 'outside', 'after two changes');

BEGIN; SELECT pg_logical_emit_message(true, 'inside', E'"\\ \n\x01 😀'); INSERT INTO keyless VALUES (9, 'between'); SELECT pg_logical_emit_message(true, 'in"side', ''), pg_logical_emit_message(false, 'outside', 'from inside'); COMMIT;

CREATE TABLE short_lived AS SELECT n AS id, 'row ' || n AS name FROM generate_series(1, 2) AS n; DROP TABLE short_lived;

CREATE MATERIALIZED VIEW seen AS SELECT * FROM keyless;

CREATE TABLE without_columns (); INSERT INTO without_columns DEFAULT VALUES;

BEGIN; INSERT INTO keyless VALUES (10, 'prepared'); PREPARE TRANSACTION 'golden';

COMMIT PREPARED 'golden';

ALTER TABLE keyless ADD more positive DEFAULT 1, ADD PRIMARY KEY (id); UPDATE keyless SET more = 2 WHERE id = 6;

INSERT INTO by_default (id, name) VALUES (1, 'a'), (2, 'b') ON CONFLICT (id) DO UPDATE SET name = excluded.name; UPDATE by_default SET name = 'moved', id = 3 WHERE id = 2;
