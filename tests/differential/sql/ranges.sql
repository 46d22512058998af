-- Ranges and multiranges.

CREATE TYPE text_range AS RANGE (subtype = text);
CREATE TYPE float_range AS RANGE (subtype = float8, multirange_type_name = many_floats);

CREATE TABLE t (
    id serial PRIMARY KEY, i4 int4range, i8 int8range, n numrange, ts tsrange, tz tstzrange, d daterange, tr text_range, fr float_range,
    mi4 int4multirange, mn nummultirange, mtz tstzmultirange, md datemultirange, mf many_floats, mi8 int8multirange, mts tsmultirange
);

INSERT INTO t (i4, i8, n, ts, tz, d) VALUES
    ('empty', 'empty', 'empty', 'empty', 'empty', 'empty'), ('(,)', '(,)', '(,)', '(,)', '(,)', '(,)'), (NULL, NULL, NULL, NULL, NULL, NULL),
    ('[1,5]', '(1,5)', '(1.10,2.20]', '[2024-01-01,infinity]', '[2024-01-01 00:00+09,)', '[2024-01-01,2024-12-31]');
INSERT INTO t (tr, fr) VALUES ('["a,b","c\"d"]', '[-Infinity,1e308)'), ('(,"")', '(-0,0]'), (text_range(E'a\n', 'b'), 'empty');
INSERT INTO t (mi4, mn, mtz, md, mf, mi8, mts) VALUES ('{}', '{}', '{}', '{}', '{}', '{}', '{}'), ('{[1,2],[5,7)}', '{(1.0,2.0),[3,NaN]}', '{[2024-01-01,2024-02-01)}', '{(,2024-01-01)}', '{[1,2]}', '{[1,9007199254740993]}', '{[2024-01-01,2024-02-01),[2024-03-01,)}');

UPDATE t SET i4 = i4 + '[5,6)' WHERE i4 && '[1,10)';

CREATE TABLE keyed_by_range (r int4range, m nummultirange, PRIMARY KEY (r, m));

INSERT INTO keyed_by_range VALUES ('[1,2]', '{[1,2]}'), ('empty', '{}');

UPDATE keyed_by_range SET r = '[3,4]' WHERE isempty(r);

DELETE FROM keyed_by_range;
