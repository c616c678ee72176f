# Sourced by the benchmarks that can run on PostgreSQL.

# Starts a private server on loopback with an empty database `shop`, and sets `port`. Arguments are
# passed to the server. The calling script provides the folder `work` for the log, the array `pids`,
# to which the server is added, and the function `finish`, which stops those processes on exit with
# SIGINT: on SIGTERM, the server would wait for its clients.
start_postgres() {
    PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' '\n' | tail -1)
    # PostgreSQL refuses to run as root. Unlike runuser, setpriv becomes the command, so that
    # signals reach it.
    as=() && [ "$(id -u)" -ne 0 ] || as=(setpriv --reuid=postgres --regid=postgres --init-groups)
    pg=$(mktemp -d /tmp/mercato-bench-pg.XXXXXX)
    trap 'finish; rm -rf "$pg"' EXIT
    [ "$(id -u)" -ne 0 ] || chown postgres "$pg"
    "${as[@]}" initdb -D "$pg/data" -U mercato -A trust -E UTF8 >/dev/null
    port=${PG_PORT:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
    "${as[@]}" postgres -D "$pg/data" -k "$pg" -p "$port" -c listen_addresses=127.0.0.1 -c shared_buffers=256MB \
        -c max_wal_size=2GB "$@" >"$work/postgres.log" 2>&1 &
    pids+=($!)
    for _ in $(seq 100); do "${as[@]}" pg_isready -q -h 127.0.0.1 -p "$port" && break || sleep 0.1; done
    "${as[@]}" createdb -h 127.0.0.1 -p "$port" -U mercato shop
}
