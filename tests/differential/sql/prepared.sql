-- Transactions in two phases.
-- damage: {"change":[,{"kind":"message" => {"change":[{"kind":"message"

CREATE TABLE t (id integer PRIMARY KEY, name text);

BEGIN; INSERT INTO t VALUES (1, 'prepared'); PREPARE TRANSACTION 'differential one';

COMMIT PREPARED 'differential one';

BEGIN; INSERT INTO t VALUES (2, 'never'); PREPARE TRANSACTION 'differential "two"';

ROLLBACK PREPARED 'differential "two"';

BEGIN; INSERT INTO t VALUES (3, 'first to prepare'); PREPARE TRANSACTION 'differential three';

INSERT INTO t VALUES (4, 'in between');

COMMIT PREPARED 'differential three';

BEGIN; SAVEPOINT s; INSERT INTO t VALUES (5, 'a'); ROLLBACK TO s; INSERT INTO t VALUES (6, 'b'); CREATE TABLE made (a integer PRIMARY KEY); INSERT INTO made VALUES (1); PREPARE TRANSACTION 'differential four';

COMMIT PREPARED 'differential four';

BEGIN; SELECT pg_logical_emit_message(true, 'p', 'prepared'), pg_logical_emit_message(false, 'p', 'at once'); PREPARE TRANSACTION 'differential five';

COMMIT PREPARED 'differential five';

BEGIN; TRUNCATE t; INSERT INTO t VALUES (7, 'after truncate'); PREPARE TRANSACTION 'differential six';

COMMIT PREPARED 'differential six';
