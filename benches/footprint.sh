#!/usr/bin/env bash
# How little a shop needs: startup time, memory when idle, and throughput of varied catalog queries,
# with 10,000 products on one processor and 512 MB of memory. Prints a table, and fails if a bound
# is exceeded: see footprint.py, which also says how the limits are enforced.
#
#   benches/footprint.sh [sqlite|postgres] [MERCATO] [OPTIONS]
#
#   --products N     size of the catalog (default 10000)
#   --seconds N      duration of each load (default 10)
#   --starts N       how often the startup is measured (default 20)
#
# MERCATO is the server; by default, a release build is made. PostgreSQL is not within the limits.
# Everything listens on loopback and stops when the script ends, after about two minutes. Needs
# python3 on Linux, and for PostgreSQL its binaries. WORK=FOLDER keeps the server's log there.
set -euo pipefail
backend=sqlite
. "$(dirname "$0")/program.sh"

start_database
run_program footprint.py "$mercato" "$work" "${database[@]}" "$@"
