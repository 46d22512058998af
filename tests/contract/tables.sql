-- Tables of every kind that a page may be asked of, with rows, so that what is asked in order is answered in earnest.
CREATE TABLE orders (
    id bigserial PRIMARY KEY, customer text NOT NULL, item varchar(20), quantity integer, price numeric(8, 2), placed_at timestamptz,
    shipped boolean
);
INSERT INTO orders (customer, item, quantity, price, placed_at, shipped)
SELECT 'customer ' || n, 'item ' || n % 7, n, n / 3.0, timestamptz '2026-11-23 12:00:00+00' + n * interval '1 hour', n % 2 = 0
FROM generate_series(1, 40) n;
COMMENT ON TABLE orders IS 'What was ordered.';

CREATE SCHEMA shop;
CREATE TABLE shop."Line Items" ("order" bigint, "Position" smallint, "say ""what""" text, PRIMARY KEY ("order", "Position"));
INSERT INTO shop."Line Items" SELECT n / 3, n % 3, repeat('ä😀"\', n) FROM generate_series(1, 20) n;

CREATE TYPE mood AS ENUM ('happy', 'so-so');
CREATE DOMAIN percentage AS numeric(5, 2) CHECK (value BETWEEN 0 AND 100);
CREATE TYPE pair AS (one integer, other text);
CREATE TABLE kinds (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "boolean" boolean, small smallint, big bigint, "real" real, "double" double precision, "numeric" numeric, percentage percentage,
    "char" char(4), "varchar" varchar(9), bytes bytea, uuid uuid, bits bit(3), varbits bit varying(5),
    day date, "time" time, timetz timetz, "timestamp" timestamp, timestamptz timestamptz, "interval" interval,
    json json, jsonb jsonb, xml xml, money money, address inet, mood mood, range int4range, point point, words tsvector, pair pair,
    integers integer[], texts text[], moods mood[], jsons jsonb[],
    double_of_small integer GENERATED ALWAYS AS (small * 2) STORED
);
INSERT INTO kinds (
    "boolean", small, big, "real", "double", "numeric", percentage, "char", "varchar", bytes, uuid, bits, varbits,
    day, "time", timetz, "timestamp", timestamptz, "interval",
    json, jsonb, xml, money, address, mood, range, point, words, pair, integers, texts, moods, jsons
) VALUES (
    true, 1, 9223372036854775807, 1.5, 1e300, 12345678901234567890.123456789, 99.99, 'ab', 'abc', '\x00ff',
    '00112233-4455-6677-8899-aabbccddeeff', '101', '01',
    '2026-11-23', '12:34:56.789', '12:34:56+02', '2026-11-23 12:34:56', '2026-11-23 12:34:56+02', '1 day 2 hours',
    '{"a" : 1.50}', '{"a": [1.50, null]}', '<a/>', 12.34, '::1/64', 'so-so', '[1,5)', '(1,2)', 'a fat cat', (1, 'x'),
    '{{1,2},{3,NULL}}', '{"a,b","c\"d",NULL}', '{happy}', ARRAY[jsonb '{}', jsonb 'null']
), (
    NULL, -32768, -9223372036854775808, 'NaN', '-Infinity', 'NaN', 0, '', '', '', NULL, '000', '',
    'infinity', '24:00', '00:00-15:59:59', '-infinity', '0044-03-15 12:00:00+00 BC', '-1 mon',
    'null', '"x"', NULL, -1, '10.0.0.0/8', NULL, 'empty', NULL, '', NULL, '{}', '{}', '{}', '{}'
);

CREATE TABLE empty (id uuid PRIMARY KEY);
CREATE TABLE without_key (name text, doc json);
INSERT INTO without_key VALUES ('a', '{}'), ('a', '{}'), (NULL, NULL);
CREATE TABLE without_columns ();
INSERT INTO without_columns DEFAULT VALUES;
CREATE TABLE measured (at date NOT NULL, value double precision, PRIMARY KEY (at)) PARTITION BY RANGE (at);
CREATE TABLE measured_before PARTITION OF measured FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE measured_since PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
INSERT INTO measured SELECT date '2025-12-25' + n, n FROM generate_series(1, 14) n;
CREATE UNLOGGED TABLE unlogged (id integer UNIQUE NOT NULL);
INSERT INTO unlogged SELECT generate_series(1, 5);
CREATE TABLE "größe 😀" ("größe" text PRIMARY KEY);
INSERT INTO "größe 😀" VALUES ('XL');
CREATE VIEW shipped AS SELECT id, item FROM orders WHERE shipped;
CREATE MATERIALIZED VIEW customers AS SELECT DISTINCT customer FROM orders;
CREATE TABLE logs (line text);
ALTER TABLE logs REPLICA IDENTITY FULL;
