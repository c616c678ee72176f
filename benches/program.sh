# Sourced by the benchmarks whose load is a Python program. Takes `[sqlite|postgres] [MERCATO]` from
# the arguments of the calling script, which sets `backend` to its default before. Sets `root`,
# `backend`, `mercato`, which is the server (by default, a release build is made), and the folder
# `work` (`WORK=FOLDER` keeps it). Further processes are added to `pids`; they end with the script.
root=$(realpath "$(dirname "$0")/..")
. "$root/benches/postgres.sh"
case ${1:-} in
sqlite | postgres) backend=$1 && shift ;;
esac
mercato=
case ${1:-} in
'' | -*) ;;
*) mercato=$(realpath "$1") && shift ;;
esac
if [ -z "$mercato" ]; then
    (cd "$root" && cargo build --release)
    mercato=$root/target/release/mercato
fi

. "$root/benches/work.sh"

# Starts PostgreSQL if the benchmark runs on it. Sets `database` to the options that name it.
start_database() {
    database=()
    [ "$backend" = postgres ] || return 0
    start_postgres
    database=(--database "postgres://mercato@127.0.0.1:$port/shop")
}

# Runs a program of this folder: run_program FILE ARGUMENTS...
run_program() {
    PYTHONDONTWRITEBYTECODE=1 python3 "$root/benches/$1" "${@:2}" &
    program=$!
    # A signal interrupts `wait` immediately, but a command in the foreground only when it ends.
    trap 'kill "$program" 2>/dev/null; wait "$program" || true; exit 143' TERM INT
    wait "$program"
}
