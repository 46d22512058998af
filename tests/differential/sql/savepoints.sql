-- Transactions that are taken back in part or as a whole, and transactions in transactions.

CREATE TABLE t (id integer PRIMARY KEY, name text);

BEGIN; INSERT INTO t VALUES (1, 'kept'); SAVEPOINT a; INSERT INTO t VALUES (2, 'taken back'); ROLLBACK TO a; INSERT INTO t VALUES (3, 'kept'); RELEASE a; COMMIT;

BEGIN; INSERT INTO t VALUES (100, 'never'); ROLLBACK;

BEGIN; SAVEPOINT a; INSERT INTO t VALUES (4, 'a'); SAVEPOINT b; INSERT INTO t VALUES (5, 'b'); SAVEPOINT c; DELETE FROM t WHERE id = 1; ROLLBACK TO c; UPDATE t SET name = 'c' WHERE id = 4; RELEASE b; ROLLBACK TO a; COMMIT;

BEGIN; SAVEPOINT a; INSERT INTO t VALUES (6, 'released'); RELEASE a; SAVEPOINT a; INSERT INTO t VALUES (7, 'released'); RELEASE a; COMMIT;

DO $$ BEGIN
    FOR n IN 10..20 LOOP
        BEGIN
            INSERT INTO t VALUES (n, 'in a block');
            IF n % 3 = 0 THEN RAISE EXCEPTION 'no'; END IF;
            BEGIN
                INSERT INTO t VALUES (n, 'again');
            EXCEPTION WHEN unique_violation THEN
                INSERT INTO t VALUES (n + 100, 'in the handler');
            END;
        EXCEPTION WHEN raise_exception THEN NULL; END;
    END LOOP;
END $$;

-- fails
BEGIN; INSERT INTO t VALUES (200, 'before the fault'); INSERT INTO t VALUES (200, 'the fault'); COMMIT;

ROLLBACK;

-- fails
INSERT INTO t VALUES (201, 'one paragraph is one transaction'); SELECT 1 / 0;

DO $$ BEGIN
    FOR n IN 300..305 LOOP INSERT INTO t VALUES (n, 'committed in the block'); IF n % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP;
END $$;

CREATE PROCEDURE two_transactions() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (400, 'one'); COMMIT; INSERT INTO t VALUES (401, 'two'); END $$;

CALL two_transactions();

BEGIN; CREATE TABLE in_savepoint (a integer PRIMARY KEY); SAVEPOINT s; ALTER TABLE in_savepoint ADD b text; INSERT INTO in_savepoint VALUES (1, 'taken back'); ROLLBACK TO s; INSERT INTO in_savepoint VALUES (2); SAVEPOINT s2; ALTER TABLE in_savepoint ADD c integer; INSERT INTO in_savepoint VALUES (3, 4); COMMIT;

BEGIN; SAVEPOINT s; TRUNCATE t; ROLLBACK TO s; INSERT INTO t VALUES (500, 'not truncated'); COMMIT;

BEGIN; INSERT INTO t VALUES (600, 'and gone'); UPDATE t SET name = 'changed' WHERE id = 600; DELETE FROM t WHERE id = 600; COMMIT;

DO $$ BEGIN FOR n IN 1..100 LOOP BEGIN INSERT INTO t VALUES (1000 + n, 'of many'); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$;
