-- Names of types that SQL quotes: wal2json copies those that begin with a quote as they are.
-- damage: "Shop".mood => "\"Shop\".mood"
-- damage: "We""ird" => "\"We\"\"ird\""
-- damage: "Shop"."Price" => "\"Shop\".\"Price\""
-- damage: "back\slash" => "\"back\\slash\""
-- damage: "Shop"."Pair" => "\"Shop\".\"Pair\""
-- damage: "ends\" => "\"ends\\\""
-- damage: "new␤line" => "\"new\nline\""
-- damage: "tab	" => "\"tab\t\""
-- damage: "tricky"",""mood" => "\"tricky\"\",\"\"mood\""
-- damage: "a)b("".x" => "\"a)b(\"\".x\""
-- damage: """,""" => "\"\"\",\"\"\""

CREATE SCHEMA "Shop"; CREATE SCHEMA extra;
CREATE TYPE "Shop".mood AS ENUM ('ok'); CREATE TYPE "We""ird" AS ENUM ('ok'); CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE "Mood" AS ENUM ('ok'); CREATE TYPE extra."😀" AS ENUM ('ok');
CREATE DOMAIN "Shop"."Price" AS numeric(10, 2); CREATE DOMAIN "back\slash" AS integer; CREATE DOMAIN "a,b]c" AS text; CREATE DOMAIN "ends\" AS text; CREATE TYPE "Shop"."Pair" AS (a integer, "B" text);

CREATE TABLE only_upper (a "Mood" PRIMARY KEY, b "Mood"[]);

INSERT INTO only_upper VALUES ('ok', '{ok}'); DELETE FROM only_upper;

CREATE TABLE t (a "Shop".mood PRIMARY KEY, b "We""ird", c mood, d "Shop".mood[], e numeric(5, 2), f "Mood", g extra."😀", h "Shop"."Price", i "back\slash", j "a,b]c", k "Shop"."Pair", l "We""ird"[], m extra."😀"[], n "ends\");

INSERT INTO t VALUES ('ok', 'ok', 'ok', '{ok}', 1, 'ok', 'ok', 1.5, 5, 'text', (1, 'b'), '{ok}', '{ok}', 'end');

UPDATE t SET b = NULL;

ALTER TABLE t REPLICA IDENTITY FULL;

UPDATE t SET c = NULL;

DELETE FROM t;

CREATE TYPE "new
line" AS ENUM ('ok'); CREATE DOMAIN "tab	" AS text; CREATE DOMAIN "tricky"",""mood" AS text; CREATE DOMAIN "a)b("".x" AS text; CREATE DOMAIN """,""" AS text; CREATE DOMAIN "x[]" AS text;

CREATE TABLE tricky (a "new
line" PRIMARY KEY, b "tab	", c "tricky"",""mood", d "a)b("".x", e """,""", f "x[]", g integer, h "tricky"",""mood"[]);

INSERT INTO tricky VALUES ('ok', 'b', 'c', 'd', 'e', 'f', 7, '{h}'); DELETE FROM tricky;
