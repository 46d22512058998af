-- Beside the stream of /v1/init there are others, each made by a request of its own, with its own tables and actions.
alter table pgdeltastream.stream
    drop constraint stream_kind_check,
    add constraint stream_kind_check check (kind in ('init', 'stream', 'adopted')),
    -- What the stream is about, as `table` or `schema.table` or `schema.*`, quoted as in SQL. No tables: all. No actions: all.
    add column tables text[] not null default '{}',
    add column exclude_tables text[] not null default '{}',
    add column actions text[],
    -- Whether a snapshot was exported when the slot was made.
    add column has_snapshot boolean not null default false;

update pgdeltastream.stream set has_snapshot = true where kind = 'init';
