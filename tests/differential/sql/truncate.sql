-- TRUNCATE, which only format 2 tells of.

CREATE SCHEMA extra;
CREATE TABLE t (id serial PRIMARY KEY, name text);
CREATE TABLE other (id serial PRIMARY KEY, t integer REFERENCES t);
CREATE TABLE extra.third (id serial PRIMARY KEY, other integer REFERENCES other);
CREATE TABLE keyless (a text);
CREATE UNLOGGED TABLE unlogged (a text);
CREATE TABLE empty (a text);

INSERT INTO t (name) VALUES ('a'), ('b'); INSERT INTO other (t) VALUES (1); INSERT INTO extra.third (other) VALUES (1); INSERT INTO keyless VALUES ('a');

TRUNCATE keyless;

TRUNCATE empty;

TRUNCATE unlogged;

TRUNCATE keyless, unlogged, empty;

TRUNCATE t CASCADE;

TRUNCATE extra.third, other, t RESTART IDENTITY;

INSERT INTO t (name) VALUES ('a'); INSERT INTO keyless VALUES ('a');

BEGIN; INSERT INTO t (name) VALUES ('before'); TRUNCATE t RESTART IDENTITY CASCADE; INSERT INTO t (name) VALUES ('after'); COMMIT;

BEGIN; TRUNCATE keyless; ROLLBACK;

BEGIN; CREATE TABLE young (a integer); INSERT INTO young VALUES (1); TRUNCATE young; INSERT INTO young VALUES (2); COMMIT;

ALTER TABLE t REPLICA IDENTITY NOTHING;

TRUNCATE t CASCADE;

BEGIN; TRUNCATE keyless; TRUNCATE keyless; COMMIT;
