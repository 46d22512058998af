-- One row for each stream that this program made or adopted. A slot without a row here is somebody else's and is never dropped.
create table pgdeltastream.stream (
    slot_name name primary key,
    -- `init`: made by /v1/init, which replaces it the next time. `adopted`: made by somebody else, streamed by name.
    kind text not null check (kind in ('init', 'adopted')),
    -- `creating` and `dropping` are written before the slot is made or dropped, so that a crash in between leaves a trace.
    state text not null check (state in ('creating', 'ready', 'dropping')),
    -- Which server and history the positions belong to. Those of another one mean nothing.
    system_identifier text not null,
    timeline integer not null,
    consistent_point pg_lsn,
    -- What the client acknowledged last: Postgres forgets its own confirmed_flush_lsn over a restart.
    acked_lsn pg_lsn,
    -- Who streams it. A new owner raises the epoch; a write that names an older one changes nothing.
    owner text not null,
    epoch bigint not null default 1,
    created_at timestamptz not null default now()
);
