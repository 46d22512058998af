-- Large values that change and that do not, under all four replica identities and all four ways of storage.

CREATE FUNCTION noise(bytes integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT left(string_agg(md5(n::text), ''), bytes) FROM generate_series(1, bytes / 32 + 1) AS n
$$;

CREATE TABLE t (
    id integer PRIMARY KEY, other integer NOT NULL UNIQUE, extended text, external text, main text, plain_one text, compressible text, document jsonb,
    raw bytea, list text[], nothing text
);
ALTER TABLE t ALTER external SET STORAGE EXTERNAL, ALTER main SET STORAGE MAIN, ALTER plain_one SET STORAGE PLAIN;

INSERT INTO t SELECT n, n + 100, noise(9000 + n), noise(5000 + n), noise(3000), 'plain', repeat('easy ', 4000), jsonb_build_object('key', noise(6000)), decode(noise(6000), 'hex'), ARRAY[noise(5000), 'x'], NULL FROM generate_series(1, 4) AS n;

UPDATE t SET plain_one = 'default identity';

UPDATE t SET id = id + 10 WHERE id = 1;

UPDATE t SET extended = noise(7000) WHERE id = 2;

UPDATE t SET extended = extended || '!', external = NULL, nothing = noise(4000) WHERE id = 3;

DELETE FROM t WHERE id = 4;

ALTER TABLE t REPLICA IDENTITY FULL;

UPDATE t SET plain_one = 'full identity';

UPDATE t SET id = id + 10 WHERE id = 2;

UPDATE t SET document = '{}', raw = '' WHERE id = 3;

DELETE FROM t WHERE id = 3;

ALTER TABLE t REPLICA IDENTITY USING INDEX t_other_key;

UPDATE t SET plain_one = 'identity by index';

UPDATE t SET other = other + 1000;

UPDATE t SET list = NULL;

DELETE FROM t WHERE id = 11;

ALTER TABLE t REPLICA IDENTITY NOTHING;

UPDATE t SET plain_one = 'no identity';

DELETE FROM t;

CREATE TABLE large_key (key text PRIMARY KEY, filling text);
ALTER TABLE large_key ALTER key SET STORAGE EXTERNAL, ALTER filling SET STORAGE EXTERNAL;

INSERT INTO large_key VALUES (noise(2500), noise(20000));

UPDATE large_key SET filling = noise(10);

UPDATE large_key SET filling = noise(30000);

UPDATE large_key SET key = 'short';

DELETE FROM large_key;

CREATE TABLE without_key (a text, b integer);
ALTER TABLE without_key REPLICA IDENTITY FULL;

INSERT INTO without_key VALUES (noise(100000), 1), (repeat('x', 1000000), 2), (repeat(noise(1000), 500), 3);

UPDATE without_key SET b = b + 1;

DELETE FROM without_key WHERE b = 2;
