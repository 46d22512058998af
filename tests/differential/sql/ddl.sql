-- Tables that change while they are written to.

CREATE SCHEMA extra;
CREATE TABLE t (id integer PRIMARY KEY, name text);

INSERT INTO t VALUES (1, 'a');

ALTER TABLE t ADD n integer;

INSERT INTO t VALUES (2, 'b', 2);

ALTER TABLE t ADD d numeric(5, 2) DEFAULT 1.5 NOT NULL;

UPDATE t SET n = 5;

ALTER TABLE t ALTER n TYPE bigint;

ALTER TABLE t ALTER name TYPE varchar(20) USING upper(name);

INSERT INTO t VALUES (3, 'c', 9007199254740993, 1);

ALTER TABLE t RENAME name TO "Title"; UPDATE t SET "Title" = 'renamed'; ALTER TABLE t DROP COLUMN n; UPDATE t SET d = 2;

ALTER TABLE t RENAME TO t_renamed; INSERT INTO t_renamed VALUES (4, 'd', 4);

ALTER TABLE t_renamed SET SCHEMA extra; DELETE FROM extra.t_renamed WHERE id = 4;

ALTER TABLE extra.t_renamed DROP CONSTRAINT t_pkey, ADD PRIMARY KEY ("Title", id);

DELETE FROM extra.t_renamed WHERE id = 3;

ALTER SCHEMA extra RENAME TO "Extra"; INSERT INTO "Extra".t_renamed VALUES (5, 'e', 5);

BEGIN; CREATE TABLE t (a integer PRIMARY KEY); INSERT INTO t VALUES (1); ALTER TABLE t ADD b text DEFAULT 'b'; INSERT INTO t VALUES (2); ALTER TABLE t ALTER a TYPE text; INSERT INTO t VALUES ('drei'); COMMIT;

BEGIN; DROP TABLE t; CREATE TABLE t (x text PRIMARY KEY); INSERT INTO t VALUES ('another table of that name'); COMMIT;

CREATE TABLE as_select AS SELECT n AS id, 'row ' || n AS name FROM generate_series(1, 5) AS n;

SELECT id * 2 AS twice, name INTO selected_into FROM as_select;

CREATE TABLE like_it (LIKE as_select INCLUDING ALL, more integer); INSERT INTO like_it VALUES (1, 'x', 2);

CREATE TABLE no_rows AS SELECT * FROM as_select WITH NO DATA;

CREATE MATERIALIZED VIEW seen AS SELECT id, name FROM as_select; CREATE UNIQUE INDEX ON seen (id);

INSERT INTO as_select VALUES (6, 'six');

REFRESH MATERIALIZED VIEW seen;

DELETE FROM as_select WHERE id = 1; ALTER TABLE as_select ADD PRIMARY KEY (id); UPDATE as_select SET name = 'changed' WHERE id = 2;

REFRESH MATERIALIZED VIEW CONCURRENTLY seen;

CREATE VIEW as_view AS SELECT * FROM as_select WHERE id > 2 WITH CHECK OPTION;

INSERT INTO as_view VALUES (7, 'through the view'); UPDATE as_view SET name = 'changed through the view' WHERE id = 7; DELETE FROM as_view WHERE id = 7;

VACUUM FULL as_select;

CLUSTER as_select USING as_select_pkey;

CREATE INDEX CONCURRENTLY ON as_select (name);

ALTER TABLE as_select SET UNLOGGED;

INSERT INTO as_select VALUES (8, 'unlogged');

ALTER TABLE as_select SET LOGGED;

INSERT INTO as_select VALUES (9, 'logged again');

CREATE RULE also AS ON INSERT TO like_it DO ALSO INSERT INTO selected_into VALUES (new.id, 'by a rule');

INSERT INTO like_it VALUES (2, 'y', 3);

DROP TABLE like_it, selected_into; DROP SCHEMA "Extra" CASCADE;

GRANT SELECT ON as_select TO PUBLIC; COMMENT ON TABLE as_select IS 'of no concern'; ANALYZE as_select;

CREATE TABLE like_a_catalogue (a integer PRIMARY KEY) WITH (user_catalog_table = true); INSERT INTO like_a_catalogue VALUES (1); UPDATE like_a_catalogue SET a = 2;
