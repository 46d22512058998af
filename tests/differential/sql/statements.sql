-- One statement that writes several rows, in several ways, in several tables.

CREATE TABLE t (id integer PRIMARY KEY, name text, n integer DEFAULT 0);
CREATE TABLE source (id integer PRIMARY KEY, name text, gone boolean);
CREATE TABLE log (id serial PRIMARY KEY, what text);
CREATE TABLE parent (id integer PRIMARY KEY, other integer UNIQUE);
CREATE TABLE cascading (id serial PRIMARY KEY, parent integer REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE nulling (id serial PRIMARY KEY, parent integer REFERENCES parent (other) ON DELETE SET NULL ON UPDATE SET DEFAULT);
CREATE TABLE self (id integer PRIMARY KEY, above integer REFERENCES self ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);

CREATE FUNCTION before_t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.name = 'skip' THEN RETURN NULL; END IF; new.n := coalesce(new.n, 0) + 1; RETURN new; END $$;
CREATE FUNCTION after_t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (what) VALUES (tg_op || ' ' || tg_when); RETURN NULL; END $$;
CREATE TRIGGER before_t BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION before_t();
CREATE TRIGGER after_t AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION after_t();
CREATE TRIGGER statement_t AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON t FOR EACH STATEMENT EXECUTE FUNCTION after_t();
CREATE CONSTRAINT TRIGGER deferred_t AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION after_t();

INSERT INTO t VALUES (1, 'a'), (2, 'skip'), (3, 'c');

INSERT INTO t VALUES (1, 'again'), (4, 'new') ON CONFLICT (id) DO UPDATE SET name = excluded.name || t.name;

INSERT INTO t VALUES (1, 'not'), (5, 'new') ON CONFLICT DO NOTHING;

INSERT INTO source VALUES (1, 'merged', false), (3, 'x', true), (6, 'inserted', false);

DO $$ BEGIN
    IF current_setting('server_version_num')::integer >= 150000 THEN
        MERGE INTO t USING source ON t.id = source.id WHEN MATCHED AND source.gone THEN DELETE WHEN MATCHED THEN UPDATE SET name = source.name WHEN NOT MATCHED THEN INSERT VALUES (source.id, source.name, 5);
    END IF;
END $$;

UPDATE t SET name = source.name || '!' FROM source WHERE t.id = source.id;

DELETE FROM t USING source WHERE t.id = source.id AND source.name = 'inserted';

WITH deleted AS (DELETE FROM source WHERE gone RETURNING *), inserted AS (INSERT INTO t SELECT id + 10, name FROM deleted RETURNING *) INSERT INTO log (what) SELECT name FROM inserted;

INSERT INTO parent SELECT n, n * 10 FROM generate_series(1, 4) AS n; INSERT INTO cascading (parent) VALUES (1), (1), (2); INSERT INTO nulling (parent) VALUES (10), (20), (30);

UPDATE parent SET id = id + 100 WHERE id = 1;

UPDATE parent SET other = 99 WHERE id = 2;

DELETE FROM parent WHERE id IN (101, 3);

INSERT INTO self VALUES (2, 1), (1, NULL), (3, 2), (4, 3);

DELETE FROM self WHERE id = 1;

UPDATE t SET id = id + 1 WHERE id = (SELECT max(id) FROM t);

UPDATE t SET name = name;

UPDATE t SET name = 'nobody' WHERE false;

DELETE FROM t WHERE false;

BEGIN; SELECT * FROM t FOR UPDATE; SELECT * FROM t FOR KEY SHARE; UPDATE t SET n = 100 WHERE id = 1; COMMIT;

BEGIN; DECLARE rows CURSOR FOR SELECT * FROM t FOR UPDATE; FETCH 1 FROM rows; UPDATE t SET name = 'where current' WHERE CURRENT OF rows; FETCH 1 FROM rows; DELETE FROM t WHERE CURRENT OF rows; COMMIT;

TRUNCATE t;
