-- Arrays of every kind.

CREATE TYPE pair AS (a integer, b text);
CREATE TYPE mood AS ENUM ('so so', '"', 'a,b', '');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN list AS integer[] CHECK (cardinality(VALUE) < 5);

CREATE TABLE t (
    id serial PRIMARY KEY, integers integer[], declared integer[3][3], texts text[], booleans boolean[], numerics numeric(10, 2)[], floats float8[],
    bytes bytea[], jsons json[], times timestamptz[], dates date[], intervals interval[], pairs pair[], moods mood[], positives positive[], lists list,
    ranges int4range[], uuids uuid[], boxes box[], points point[], limited varchar(5)[], padded char(3)[], bits bit(2)[], names name[], oids oid[],
    vector int2vector, oid_vector oidvector
);

INSERT INTO t (integers) VALUES ('{}'), ('{1,2,3}'), ('{NULL}'), ('{NULL,1,NULL}'), ('{{1,2},{3,4}}'), ('{{{1},{2}},{{3},{NULL}}}'), ('[0:1]={1,2}'), ('[-3:-2][5:6]={{1,2},{3,4}}'), (NULL);
INSERT INTO t (declared) VALUES ('{{1,2,3},{4,5,6},{7,8,9}}'), ('{1}');
INSERT INTO t (texts) VALUES ('{}'), (ARRAY['', ' ', 'a,b', 'a b', '"', '\', '{', '}', 'NULL', 'null', E'\n\t\x01', '😀']), (ARRAY[NULL, 'x']), ('{{"a","b"},{"c",NULL}}'), (ARRAY[repeat('long ', 100)]);
INSERT INTO t (booleans, numerics, floats) VALUES ('{t,f,NULL}', '{0.1,NaN,1e7}', '{0.1,NaN,Infinity,-Infinity,1e308,-0}'), ('{}', '{}', '{}');
INSERT INTO t (bytes, jsons, times) VALUES (ARRAY['', '\x00ff'::bytea, '"', '\\'], ARRAY['{"a":[1,2]}', E'[\n"x"]']::json[], ARRAY['infinity', '2024-01-01 00:00:00+09', '0044-03-15 BC']::timestamptz[]);
INSERT INTO t (dates, intervals, pairs) VALUES ('{2024-01-01,-infinity}', '{1 day,-1 mon}', ARRAY[(1, 'a,b'), (NULL, '"'), NULL, (2, NULL)]::pair[]);
INSERT INTO t (moods, positives, lists, ranges) VALUES (ARRAY['so so', '"', 'a,b', '']::mood[], '{1,NULL}', '{1,2}', '{"[1,5)",empty}'), ('{}', '{}', '{}', '{}');
INSERT INTO t (uuids, boxes, points, limited, padded, bits, names, oids) VALUES ('{00000000-0000-0000-0000-000000000000}', '{(1,2),(3,4);(5,6),(7,8)}', '{"(1,2)"}', '{ab,"c d"}', '{a,NULL}', '{10,01}', '{n,"a b"}', '{0,4294967295}');
INSERT INTO t (vector, oid_vector) VALUES ('1 2 3', '4 5'), ('', '');

UPDATE t SET integers[2] = 20 WHERE array_ndims(integers) = 1;

UPDATE t SET texts[1] = 'replaced' WHERE array_ndims(texts) = 1;

DELETE FROM t WHERE id % 2 = 0;

CREATE TABLE keyed_by_array (a integer[], b text[], PRIMARY KEY (a, b));

INSERT INTO keyed_by_array VALUES ('{1,NULL}', '{"a\"b"}'), ('{}', '{}');

UPDATE keyed_by_array SET a = a || 5;

DELETE FROM keyed_by_array;
