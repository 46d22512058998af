-- Every type that the server comes with and that a column can have: as NULL, and with each of these texts that it takes.

CREATE TABLE t (id integer PRIMARY KEY, name text);

DO $$ DECLARE
    texts text[] := ARRAY[
        '', '0', '1', '-1', '1.50', 'NaN', 'infinity', 'a', 'true', '"x"', 'a "b" \c', '{}', '{1,NULL}', '[]', '{"a": 1}', '2024-02-29', '2024-02-29 12:34:56.789+00', '1 day', '12:34:56',
        '00000000-0000-0000-0000-000000000000', '::1', '10.0.0.0/8', '08:00:2b:01:02:03', '(1,2)', '((0,0),(1,1))', '<(0,0),5>', '{1,-1,0}', '[1,2)', 'empty', '{[1,2]}', '\x00ff', '101',
        '0/A', '1:1:', '$.a', '<a/>', 'postgres=r/postgres', 'simple', 'now', 'pg_class', 'integer', '1 2 3', '{a,"b c"}', '[2024-01-01,2024-02-01)', '{NULL}'
    ];
    type record; input text;
BEGIN
    FOR type IN
        SELECT row_number() OVER (ORDER BY oid) AS number, oid::regtype::text AS name FROM pg_type
        WHERE oid < 16384 AND typtype IN ('b', 'd', 'e', 'r', 'm') AND typisdefined
        AND (typelem = 0 OR typelem IN (SELECT oid FROM pg_type WHERE typtype IN ('b', 'd', 'e', 'r', 'm')))
    LOOP
        EXECUTE format('CREATE TABLE type_%s (id serial, one %s)', type.number, type.name);
        EXECUTE format('INSERT INTO type_%s (one) VALUES (NULL)', type.number);
        FOREACH input IN ARRAY texts LOOP
            BEGIN
                EXECUTE format('INSERT INTO type_%s (one) VALUES (%L)', type.number, input);
            EXCEPTION WHEN OTHERS THEN NULL; END;
        END LOOP;
        EXECUTE format('ALTER TABLE type_%s REPLICA IDENTITY FULL', type.number);
        EXECUTE format('DELETE FROM type_%s', type.number);
        COMMIT;
    END LOOP;
END $$;
