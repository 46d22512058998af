-- When a stream was last taken from another instance, which tells two clients that take it from each other.
alter table pgdeltastream.stream add column taken_over_at timestamptz[] not null default '{}';
