-- Dates and times, as they were and as they never will be.

CREATE TABLE t (
    id serial PRIMARY KEY, d date, t time, tt timetz, ts timestamp, tz timestamptz, i interval,
    t3 time(3), ts0 timestamp(0), tz3 timestamptz(3), years interval year, seconds interval second(2)
);

INSERT INTO t (d) VALUES ('2024-02-29'), ('infinity'), ('-infinity'), ('4713-01-01 BC'), ('5874897-12-31'), ('0044-03-15 BC'), ('1970-01-01'), (NULL);
INSERT INTO t (t, t3) VALUES ('00:00', '00:00'), ('24:00:00', '23:59:59.9996'), ('12:34:56.789012', '12:34:56.789012');
INSERT INTO t (tt) VALUES ('12:34:56.789012+05:30'), ('00:00-15:59'), ('24:00:00+00'), ('01:02:03+15:59:59');
INSERT INTO t (ts, ts0) VALUES ('2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012'), ('infinity', 'infinity'), ('-infinity', NULL), ('4713-01-01 00:00:00 BC', NULL), ('294276-12-31 23:59:59.999999', NULL), ('0044-03-15 12:00:00.1 BC', NULL), ('1999-12-31 23:59:59.5', '1999-12-31 23:59:59.5');
INSERT INTO t (tz, tz3) VALUES ('2024-02-29 12:34:56.789012+09', '2024-02-29 12:34:56.7895+09'), ('infinity', NULL), ('-infinity', NULL), ('4713-01-01 00:00:00+00 BC', NULL), ('294276-12-31 23:59:59.999999+00', NULL), ('1883-11-18 12:00:00 America/New_York', NULL), ('2024-03-31 02:30:00 Europe/Berlin', NULL);
INSERT INTO t (i, years, seconds) VALUES ('1 year 2 months 3 days 04:05:06.789', '3 years', '1.239'), ('-1 year +2 days -00:00:01', '-3 years', '-1.239'), ('0', '0', '0'), ('-178000000 years', NULL, NULL), ('178000000 years', NULL, NULL), ('@ 1 day ago', NULL, NULL), ('P1Y2M3DT4H5M6.7S', NULL, NULL), ('2562047788 hours', NULL, NULL);

SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'German'; SET IntervalStyle = 'sql_standard'; INSERT INTO t (ts, tz, i) VALUES ('29.02.2024 12:00', '29.02.2024 12:00', '1-2 3 4:05:06');

UPDATE t SET d = d + 1, ts = ts + '1 microsecond' WHERE isfinite(d) AND d < '2500-01-01';

CREATE TABLE keyed_by_time (d date, tz timestamptz, i interval, PRIMARY KEY (d, tz, i));

INSERT INTO keyed_by_time VALUES ('infinity', '-infinity', '1 mon'), ('0001-01-01 BC', '2024-01-01 00:00:00.000001+00', '-1 day');

UPDATE keyed_by_time SET i = i * 2;

DELETE FROM keyed_by_time;
