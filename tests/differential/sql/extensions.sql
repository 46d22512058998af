-- Types of extensions, where these are installed.

CREATE TABLE t (id serial PRIMARY KEY, name text);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hstore') THEN
        CREATE EXTENSION hstore;
        CREATE TABLE with_hstore (id serial PRIMARY KEY, h hstore, many hstore[]);
        INSERT INTO with_hstore (h) VALUES (''), ('a=>1, "b\"c"=>NULL, "d e"=>"f\\g"'), (NULL);
        UPDATE with_hstore SET many = ARRAY[h, 'x=>y'];
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') THEN
        CREATE EXTENSION citext;
        CREATE TABLE with_citext (c citext PRIMARY KEY, many citext[]);
        INSERT INTO with_citext VALUES ('Upper', '{A,b}'), ('"', NULL);
        UPDATE with_citext SET c = c || 'x';
        DELETE FROM with_citext;
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'ltree') THEN
        CREATE SCHEMA extra;
        CREATE EXTENSION ltree SCHEMA extra;
        CREATE TABLE with_ltree (path extra.ltree PRIMARY KEY, query extra.lquery);
        INSERT INTO with_ltree VALUES ('a.b.c', 'a.*{1,2}');
        DELETE FROM with_ltree;
    END IF;
END $$;

INSERT INTO t (name) VALUES ('after');
