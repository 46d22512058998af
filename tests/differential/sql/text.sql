-- Characters that JSON escapes, and those that it does not.

CREATE TABLE t (id serial PRIMARY KEY, free text, limited varchar(40), padded char(10), tiny "char", short_name name);

INSERT INTO t (free) SELECT 'a' || chr(code) || 'b' FROM generate_series(1, 255) AS code;

INSERT INTO t (free) SELECT string_agg(chr(code), '') FROM generate_series(1, 127) AS code;

INSERT INTO t (free) VALUES (''), (' '), ('"'), ('\'), ('\\'), ('\"'), ('"quoted"'), ('a\u0041'), ('/'), ('</script>'), ('''');
INSERT INTO t (free) VALUES (E'line\nfeed'), (E'carriage\r\nreturn'), (E'tab\t'), (E'\b\f\v\x1b\x7f'), (E'ends with \\');
INSERT INTO t (free) VALUES (U&'\2028\2029\FEFF'), (U&'\+01F600'), ('😀👩‍👩‍👧‍👦🇩🇪'), ('Ünïcödé'), ('שלום'), ('日本語'), (U&'\FFFD\FFFE'), (U&'\0301'), (U&'\+10FFFF'), (U&'\00A0\00AD');
INSERT INTO t (free) VALUES ('null'), ('true'), ('NaN'), ('12'), ('{"action":"C"}'), ('"change":[]}'), ('{"nextlsn":"0/1","change":[]}'), ('NULL');
INSERT INTO t (limited, padded, tiny, short_name) VALUES ('limited', 'padded', 'c', 'name'), ('', '', '', ''), ('"', '"', '"', '"'), ('\', '\', '\', '\'), ('ü', 'ü', NULL, 'ü'), (NULL, NULL, NULL, NULL);
INSERT INTO t (padded, short_name) VALUES ('0123456789', repeat('n', 63)), (E'\t\n', E'\n');

UPDATE t SET free = upper(free), limited = free WHERE length(free) < 40;

DELETE FROM t WHERE id % 3 = 0;

CREATE TABLE keyed_by_text (a text, b char(4), c "char", d name, PRIMARY KEY (a, b, c, d));

INSERT INTO keyed_by_text VALUES (E'a\n"\\', 'b', '"', '\'), ('😀', '', '', '');

UPDATE keyed_by_text SET a = a || E'\x01';

DELETE FROM keyed_by_text;
