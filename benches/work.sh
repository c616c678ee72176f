# Sourced by the benchmarks. Creates the folder `work`, which is removed when the script ends
# (`WORK=FOLDER` keeps it), and the array `pids` of processes that end with the script.
work=${WORK:-$(mktemp -d)}
mkdir -p "$work" && work=$(realpath "$work")
pids=()
finish() {
    for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    [ -n "${WORK:-}" ] || rm -rf "$work"
}
trap finish EXIT

# The path of the executable that cargo reports with `--message-format json`.
executable() {
    python3 -c 'import json, sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])'
}
