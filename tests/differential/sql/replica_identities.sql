-- What is said of the old row, under each identity, with NULLs in it and without.

CREATE TABLE t (a integer, b text, c numeric, d boolean, PRIMARY KEY (b, a));
CREATE TABLE fully (a integer, b text, c numeric, d boolean);
CREATE TABLE by_index (a integer, b text NOT NULL, c numeric, d boolean NOT NULL);
CREATE UNIQUE INDEX by_index_key ON by_index (d, b);
ALTER TABLE fully REPLICA IDENTITY FULL;
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_key;
CREATE TABLE nothing (a integer PRIMARY KEY, b text);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE keyless (a integer, b text);

INSERT INTO t VALUES (1, 'one', 1.0, true), (2, 'two', NULL, NULL);
INSERT INTO fully VALUES (1, 'one', 1.0, true), (2, NULL, NULL, NULL), (NULL, NULL, NULL, NULL);
INSERT INTO by_index VALUES (1, 'one', 1.0, true), (NULL, 'two', NULL, false);
INSERT INTO nothing VALUES (1, 'one'), (2, NULL);
INSERT INTO keyless VALUES (1, 'one'), (2, NULL);

UPDATE t SET c = 2; UPDATE fully SET c = 2; UPDATE by_index SET c = 2; UPDATE nothing SET b = 'x'; UPDATE keyless SET b = 'x';

UPDATE t SET a = a + 10; UPDATE by_index SET b = b || '!'; UPDATE nothing SET a = a + 10; UPDATE fully SET a = a + 10;

UPDATE t SET b = b, a = a; UPDATE fully SET b = b; UPDATE by_index SET d = d;

BEGIN; UPDATE nothing SET b = 'left out'; INSERT INTO t VALUES (3, 'three', 3, false); DELETE FROM keyless; UPDATE t SET b = 'drei' WHERE b = 'three'; COMMIT;

DELETE FROM t; DELETE FROM fully; DELETE FROM by_index; DELETE FROM nothing; DELETE FROM keyless;

ALTER TABLE keyless REPLICA IDENTITY FULL;

INSERT INTO keyless VALUES (1, 'one'); UPDATE keyless SET a = 2; DELETE FROM keyless;

ALTER TABLE t DROP CONSTRAINT t_pkey;

INSERT INTO t VALUES (1, 'no key now', 1, true); UPDATE t SET a = 2; DELETE FROM t;

ALTER TABLE t ADD PRIMARY KEY (a) DEFERRABLE INITIALLY DEFERRED;

INSERT INTO t VALUES (1, 'deferrable', 1, true), (2, 'deferrable', 1, true); UPDATE t SET a = 3 - a; DELETE FROM t;

CREATE TABLE key_with_more (a integer, b integer, c text, PRIMARY KEY (a) INCLUDE (c));

INSERT INTO key_with_more VALUES (1, 2, 'c'); UPDATE key_with_more SET c = 'd'; UPDATE key_with_more SET a = 2; DELETE FROM key_with_more;

DROP INDEX by_index_key;

INSERT INTO by_index VALUES (1, 'index is gone', 1, true); UPDATE by_index SET a = 2; DELETE FROM by_index;
