-- Two hundred transactions of whatever chance brings, which is the same every time.
-- damage: {"change":[,{"kind":"message" => {"change":[{"kind":"message"

CREATE SCHEMA extra;
CREATE TABLE t (id serial PRIMARY KEY, name text, amount numeric, large text);
CREATE TABLE fully (LIKE t INCLUDING DEFAULTS); ALTER TABLE fully REPLICA IDENTITY FULL;
CREATE TABLE extra.keyless (LIKE t INCLUDING DEFAULTS);
CREATE TABLE parts (LIKE t INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE extra.parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);

SELECT setseed(0.25);

DO $$ DECLARE
    tables text[] := ARRAY['t', 'fully', 'extra.keyless', 'parts'];
    one text; text_of_chance text;
BEGIN
    FOR transaction IN 1..200 LOOP
        FOR step IN 0..floor(random() * 6) LOOP
            BEGIN
                one := tables[1 + floor(random() * 4)];
                text_of_chance := (SELECT string_agg(chr((1 + floor(random() * 300))::integer), '') FROM generate_series(1, 1 + floor(random() * 8)::integer));
                CASE floor(random() * 14)
                    WHEN 0, 1, 2, 3, 4 THEN EXECUTE format('INSERT INTO %s (name, amount, large) SELECT $1, random()::numeric, repeat($1, (random() * 900)::integer) FROM generate_series(1, 3)', one) USING text_of_chance;
                    WHEN 5, 6 THEN EXECUTE format('UPDATE %s SET name = $1 WHERE random() < 0.3', one) USING text_of_chance;
                    WHEN 7 THEN EXECUTE format('UPDATE %s SET id = id + 10000, amount = NULL WHERE id < 10000 AND random() < 0.1', one);
                    WHEN 8 THEN EXECUTE format('DELETE FROM %s WHERE random() < 0.2', one);
                    WHEN 9 THEN PERFORM pg_logical_emit_message(random() < 0.6, CASE WHEN random() < 0.5 THEN 'inside' ELSE 'p' END, text_of_chance);
                    WHEN 10 THEN IF random() < 0.3 THEN EXECUTE format('TRUNCATE %s', one); END IF;
                    WHEN 11 THEN EXECUTE format('ALTER TABLE %s ADD column_%s_%s integer DEFAULT %s', one, transaction, step, transaction);
                    WHEN 12 THEN EXECUTE format('ALTER TABLE t REPLICA IDENTITY %s', (ARRAY['DEFAULT', 'FULL', 'NOTHING'])[1 + floor(random() * 3)]);
                    ELSE EXECUTE format('CREATE TABLE made_%s_%s AS SELECT * FROM %s LIMIT 2', transaction, step, one);
                END CASE;
                IF random() < 0.15 THEN RAISE EXCEPTION 'taken back'; END IF;
            EXCEPTION WHEN raise_exception THEN NULL; END;
        END LOOP;
        IF random() < 0.1 THEN ROLLBACK; ELSE COMMIT; END IF;
    END LOOP;
END $$;
