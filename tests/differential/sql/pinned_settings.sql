-- A database whose defaults would make every value look different.

DO $$ DECLARE setting text; BEGIN
    FOREACH setting IN ARRAY ARRAY['DateStyle = German', 'TimeZone = ''Asia/Tokyo''', 'IntervalStyle = iso_8601', 'extra_float_digits = -5', 'bytea_output = escape', 'search_path = extra', 'client_encoding = LATIN1', 'quote_all_identifiers = on', 'client_min_messages = error'] LOOP
        EXECUTE format('ALTER DATABASE %I SET %s', current_database(), setting);
    END LOOP;
END $$;

CREATE SCHEMA extra; CREATE TYPE extra.mood AS ENUM ('ok'); CREATE TYPE public.mood AS ENUM ('ok');

CREATE TABLE public.t (id serial PRIMARY KEY, d date, tz timestamptz, i interval, f float8, b bytea, m public.mood, em extra.mood, c regclass, t text);

INSERT INTO public.t (d, tz, i, f, b, m, em, c, t) VALUES ('2024-02-29', '2024-02-29 12:34:56.789+09', '1 year 2 days 03:04:05', 0.1::float8 + 0.2::float8, '\x61005c62', 'ok', 'ok', 'public.t', '日本');

DELETE FROM public.t;
