-- Partitions of every kind, several levels deep, and rows that move.

CREATE SCHEMA extra;
CREATE TABLE by_list (region text, id integer, name text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE by_list_north PARTITION OF by_list FOR VALUES IN ('north', 'Nord');
CREATE TABLE extra.by_list_south PARTITION OF by_list FOR VALUES IN ('south');
CREATE TABLE by_list_rest PARTITION OF by_list DEFAULT PARTITION BY RANGE (id);
CREATE TABLE by_list_rest_low PARTITION OF by_list_rest FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE by_list_rest_high PARTITION OF by_list_rest FOR VALUES FROM (100) TO (MAXVALUE) PARTITION BY HASH (id);
CREATE TABLE by_list_rest_high_0 PARTITION OF by_list_rest_high FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_list_rest_high_1 PARTITION OF by_list_rest_high FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE t (id integer PRIMARY KEY, name text);

INSERT INTO by_list SELECT region, n, region || n FROM unnest(ARRAY['north', 'Nord', 'south', 'east']) AS region, generate_series(98, 102) AS n;

UPDATE by_list SET name = name || '!';

UPDATE by_list SET region = 'south', id = id + 20 WHERE region = 'north';

UPDATE by_list SET id = id + 10 WHERE region = 'east';

DELETE FROM by_list WHERE id = 100;

COPY by_list (region, id, name) FROM STDIN
north	1	copied
south	2	copied
east	3	copied\twith tab
west	300	\N
Nord	5	

ALTER TABLE by_list DETACH PARTITION extra.by_list_south;

INSERT INTO extra.by_list_south VALUES ('anything', 1, 'detached');

DELETE FROM extra.by_list_south WHERE region = 'anything';

ALTER TABLE by_list ATTACH PARTITION extra.by_list_south FOR VALUES IN ('south');

UPDATE by_list SET region = 'north', id = id + 1000 WHERE region = 'south';

CREATE TABLE other_order (name text, dropped integer, id integer NOT NULL, region text NOT NULL, PRIMARY KEY (region, id));
ALTER TABLE other_order DROP COLUMN dropped;
INSERT INTO other_order VALUES ('before', 1, 'other');
ALTER TABLE by_list ATTACH PARTITION other_order FOR VALUES IN ('other');

INSERT INTO by_list VALUES ('other', 2, 'after'); UPDATE by_list SET name = 'moved', region = 'other' WHERE region = 'Nord'; DELETE FROM by_list WHERE region = 'other';

ALTER TABLE by_list_north REPLICA IDENTITY FULL;

UPDATE by_list SET name = 'full here' WHERE id > 1000; DELETE FROM by_list WHERE region = 'north';

TRUNCATE by_list_rest;

TRUNCATE by_list, t;

DROP TABLE by_list_rest_high_1;

CREATE TABLE parent (id integer PRIMARY KEY, name text);
CREATE TABLE child (extra text, PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE grandchild (PRIMARY KEY (id)) INHERITS (child);

INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 'x'); INSERT INTO grandchild VALUES (3, 'g', 'y');

UPDATE parent SET name = name || '!'; UPDATE ONLY parent SET id = 10; DELETE FROM parent WHERE id > 1;

ALTER TABLE grandchild NO INHERIT child;

INSERT INTO grandchild VALUES (4, 'alone', NULL);

TRUNCATE ONLY parent; TRUNCATE parent;
