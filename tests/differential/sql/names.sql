-- Names of schemas, tables and columns that are to be quoted, in SQL or in JSON.

CREATE SCHEMA "Shop"; CREATE SCHEMA "a.b"; CREATE SCHEMA "we""ird"; CREATE SCHEMA "😀"; CREATE SCHEMA "back\slash"; CREATE SCHEMA "with space"; CREATE SCHEMA extra;

CREATE TABLE t (id integer PRIMARY KEY, "Upper" text, "dotted.name" text, "quo""ted" text, "back\slash" text, "emoji😀" text, "with space" text, "select" text, " " text, "новый" text, "comma,comma" text, "brace}{" text, "'" text, "change" text, "xid" text, "nextlsn" text);

INSERT INTO t SELECT 1, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o'; UPDATE t SET "Upper" = NULL; DELETE FROM t;

CREATE TABLE "Shop"."Orders" ("Id" integer PRIMARY KEY, "Total" numeric);
CREATE TABLE "a.b"."c.d" ("e.f" integer PRIMARY KEY);
CREATE TABLE "we""ird"."ta""ble" ("co""l" integer PRIMARY KEY);
CREATE TABLE "😀"."😀" ("😀" text PRIMARY KEY);
CREATE TABLE "back\slash"."\" ("\" text PRIMARY KEY);
CREATE TABLE "with space"." x " (" y " text PRIMARY KEY);
CREATE TABLE extra."t,u" (a text PRIMARY KEY);

INSERT INTO "Shop"."Orders" VALUES (1, 2); INSERT INTO "a.b"."c.d" VALUES (1); INSERT INTO "we""ird"."ta""ble" VALUES (1); INSERT INTO "😀"."😀" VALUES ('😀'); INSERT INTO "back\slash"."\" VALUES ('\'); INSERT INTO "with space"." x " VALUES (' y '); INSERT INTO extra."t,u" VALUES ('a');

UPDATE "Shop"."Orders" SET "Id" = 2; UPDATE "a.b"."c.d" SET "e.f" = 2; UPDATE "we""ird"."ta""ble" SET "co""l" = 2; UPDATE "😀"."😀" SET "😀" = ''; UPDATE "back\slash"."\" SET "\" = ''; UPDATE "with space"." x " SET " y " = ''; UPDATE extra."t,u" SET a = 'b';

DELETE FROM "Shop"."Orders"; DELETE FROM "a.b"."c.d"; DELETE FROM "we""ird"."ta""ble"; DELETE FROM "😀"."😀"; DELETE FROM "back\slash"."\"; DELETE FROM "with space"." x "; DELETE FROM extra."t,u";

TRUNCATE "Shop"."Orders", "a.b"."c.d", "we""ird"."ta""ble", "😀"."😀", "back\slash"."\", "with space"." x ", extra."t,u";

CREATE TABLE "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" ("ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc" integer PRIMARY KEY);

INSERT INTO "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" VALUES (1);

CREATE TABLE "new
line" ("co
lumn	tab" integer PRIMARY KEY);

INSERT INTO "new
line" VALUES (1); UPDATE "new
line" SET "co
lumn	tab" = 2; DELETE FROM "new
line"; TRUNCATE "new
line";
