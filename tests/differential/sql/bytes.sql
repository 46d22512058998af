-- Bytes and bits.

CREATE TABLE t (id serial PRIMARY KEY, raw bytea, fixed bit(9), varying bit varying, limited bit varying(5), one bit);

INSERT INTO t (raw) VALUES (''), ('\x00'), ('\xdeadbeef00ff'), ('\\'), ('"'), (decode('5c7830', 'hex')), (sha512('x')), (convert_to('日本', 'UTF8')), (NULL);

INSERT INTO t (raw) SELECT decode(string_agg(lpad(to_hex(byte), 2, '0'), ''), 'hex') FROM generate_series(0, 255) AS byte;

INSERT INTO t (fixed, varying, limited, one) VALUES (B'101010101', B'', B'', B'1'), (B'000000000', B'1', B'10101', B'0'), (X'1FF'::bit(9), repeat('10', 200)::bit varying, B'1', NULL);

UPDATE t SET raw = raw || '\x00'::bytea, varying = varying || B'1';

ALTER TABLE t REPLICA IDENTITY FULL;

UPDATE t SET raw = NULL WHERE id % 2 = 0;

DELETE FROM t;

CREATE TABLE keyed_by_bytes (a bytea, b bit(3), c bit varying, PRIMARY KEY (a, b, c));

INSERT INTO keyed_by_bytes VALUES ('', B'000', B''), ('\x0001', B'111', B'1');

DELETE FROM keyed_by_bytes;
