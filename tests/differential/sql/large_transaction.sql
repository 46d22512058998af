-- Many changes at once, and many subtransactions.

CREATE TABLE t (id integer PRIMARY KEY, name text, filling text);
CREATE TABLE other (id integer PRIMARY KEY, name text);

INSERT INTO t SELECT n, 'row ' || n, repeat('"', n % 7) FROM generate_series(1, 5000) AS n;

BEGIN; UPDATE t SET name = name || '!' WHERE id % 4 = 0; INSERT INTO other SELECT n, 'other' FROM generate_series(1, 1000) AS n; DELETE FROM t WHERE id % 5 = 0; SELECT pg_logical_emit_message(true, 'p', 'amid'); TRUNCATE other; INSERT INTO other VALUES (1, 'last'); COMMIT;

DO $$ BEGIN FOR n IN 1..300 LOOP BEGIN INSERT INTO other VALUES (n + 10, 'in subtransaction ' || n); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$;
