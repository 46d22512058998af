-- JSON and XML inside of JSON.

CREATE TABLE t (id serial PRIMARY KEY, j json, b jsonb, p jsonpath, x xml);

INSERT INTO t (j) VALUES ('{}'), ('[]'), ('null'), ('"text"'), ('1e400'), ('-0'), ('1.10'), (E'{"a":\n 1,\r\n\t"b": [1,\n2]}'), ('{"a":1,"a":2}'), (NULL);
INSERT INTO t (j) VALUES ('{"quote\"":"back\\slash","\u0041":"\u00e9\ud83d\ude00","sep":"\u2028"}'), ('  {"spaces" : true }  '), ('{"deep":[[[[[[[[[[{"a":[{}]}]]]]]]]]]]}');
INSERT INTO t (b) VALUES ('{}'), ('[]'), ('null'), ('"text"'), ('1e400'), ('-0'), ('1.10'), (E'{"a":\n 1,\r\n\t"b": [1,\n2]}'), ('{"a":1,"a":2}'), (NULL);
INSERT INTO t (b) VALUES ('{"quote\"":"back\\slash","\u0041":"\u00e9\ud83d\ude00","control":"\u0001\n\t"}'), ('123456789012345678901234567890.12345678901234567890');
INSERT INTO t (p) VALUES ('$.a[*] ? (@.b > 1 && @.c like_regex "^\"x")'), ('strict $."key with \"quote\""');

UPDATE t SET b = b || '{"more": true}' WHERE jsonb_typeof(b) = 'object';

UPDATE t SET b = jsonb_set(b, '{more}', '[1, "zwei", null]') WHERE b ? 'more';

DO $$ BEGIN
    INSERT INTO t (x) VALUES ('<a b="c">text &amp; more</a>'), (E'<a>\n  <b/>\n</a>'), (xmlelement(name "ü", xmlattributes('"' AS q), E'\t'));
EXCEPTION WHEN feature_not_supported THEN NULL; END $$;

DELETE FROM t;
