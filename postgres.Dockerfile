# Postgres with wal2json, ready for logical replication.
FROM postgres:15
# The plugin's version is the one that the image's own repository has for this server.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends "postgresql-$PG_MAJOR-wal2json" \
    && rm -rf /var/lib/apt/lists/*
# Releases since August 2026 take only the output plugins of a list, which older ones do not know.
RUN postgres --describe-config | grep -q output_plugin_libraries \
    && echo "output_plugin_libraries = 'pgoutput, test_decoding, wal2json'" >> /usr/share/postgresql/postgresql.conf.sample \
    || true
CMD ["postgres", "-c", "wal_level=logical", "-c", "max_replication_slots=20", "-c", "max_wal_senders=20"]
