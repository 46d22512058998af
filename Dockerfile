# syntax=docker/dockerfile:1

FROM rust:1-bookworm AS build
WORKDIR /build
COPY . .
# The caches keep the registry and the built dependencies from one build to the next; what is in them is in no layer, so the program is copied out.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked && cp target/release/pgdeltastream /usr/local/bin/

FROM debian:bookworm-slim
COPY --from=build /usr/local/bin/pgdeltastream /usr/local/bin/
ENV SERVERHOST=0.0.0.0
EXPOSE 12312
# nobody
USER 65534:65534
# There is no curl here, but bash can ask a question over TCP.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["bash", "-c", "exec 3<>\"/dev/tcp/127.0.0.1/${SERVERPORT:-12312}\" && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r answer <&3 && [[ $answer == *' 200 '* ]]"]
ENTRYPOINT ["pgdeltastream"]
