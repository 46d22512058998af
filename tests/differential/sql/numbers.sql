-- Numbers to their limits, and those that JSON has no word for.

CREATE TABLE t (
    id bigint PRIMARY KEY, small smallint, medium integer, large bigint, half real, full_float double precision, any_numeric numeric,
    short_numeric numeric(12, 4), rounded numeric(5, -2), scale_only numeric(3, 5), money_column money, flag boolean
);

INSERT INTO t VALUES (1, -32768, -2147483648, -9223372036854775808, '-3.4028235e38', '-1.7976931348623157e308', '-1e1000', '-12345678.1234', 12345, 0.00123, '-92233720368547758.08', false);
INSERT INTO t VALUES (2, 32767, 2147483647, 9223372036854775807, '3.4028235e38', 1e308, 1e1000, '12345678.1234', 99949, 0.00999, '92233720368547758.07', true);
INSERT INTO t VALUES (3, 0, 0, 0, '-0', '-0', '-0', 0, 0, 0, 0, NULL);
INSERT INTO t VALUES (4, 1, 1, 1, '1e-45', '5e-324', '0.1000', '0.1000', 100, 0.00001, '0.01', true);
INSERT INTO t VALUES (5, NULL, NULL, NULL, 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', NULL, NULL);
INSERT INTO t VALUES (6, NULL, NULL, NULL, 'Infinity', 'Infinity', 'Infinity', NULL, NULL, NULL, NULL, NULL);
INSERT INTO t VALUES (7, NULL, NULL, NULL, '-Infinity', '-Infinity', '-Infinity', NULL, NULL, NULL, NULL, NULL);
INSERT INTO t VALUES (8, 1, 1, 9007199254740993, 0.1, 0.1::float8 + 0.2::float8, '123456789012345678901234567890123456789012345678901234567890.123456789012345678901234567890', 1, 1, 0, 1, true);
INSERT INTO t VALUES (9, 1, 1, 1, 1e15, 1e15, '1e-1000', 0, 0, 0, 0, true);
INSERT INTO t VALUES (10, 1, 1, 1, 123456.7, 123456789012345678, '0.00', '0.00', 0, 0, 0, true);
INSERT INTO t VALUES (11, 1, 1, 1, 1e-5, 1e-5, '1e16383', 0, 0, 0, 0, true);

UPDATE t SET medium = 1 - medium, half = -half WHERE id > 2;

UPDATE t SET id = -id WHERE id < 3;

DELETE FROM t WHERE id IN (5, 6, 7);

CREATE TABLE keyed_by_number (a numeric, b double precision, c real, d boolean, PRIMARY KEY (a, b, c, d));

INSERT INTO keyed_by_number VALUES ('NaN', 'NaN', 'NaN', true), ('Infinity', '-Infinity', 'Infinity', false), (1.10, 0.1, 0.1, true);

UPDATE keyed_by_number SET d = NOT d;

DELETE FROM keyed_by_number;
