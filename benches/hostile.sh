#!/usr/bin/env bash
# The effect of attacks on honest clients: runs every known attack beside a normal load of 200
# requests per second, and prints a table of what the honest clients noticed. Fails if they notice
# too much: see hostile.py.
#
#   benches/hostile.sh [sqlite|postgres] [MERCATO] [OPTIONS]
#
#   --rows C1,H4     only the rows whose names have these prefixes
#   --seconds N      duration of each attack (default 6)
#   --quick          shorter attacks, fewer products, and no waiting for the server's timeouts
#   --rate N, --products N    the normal load and the size of the catalog (defaults 200 and 6000)
#
# MERCATO is the server; by default, a release build is made. Everything listens on loopback and
# stops when the script ends. A full run takes about 15 minutes. Needs python3, and for PostgreSQL
# its binaries. WORK=FOLDER keeps the server's log there.
set -euo pipefail
backend=sqlite
. "$(dirname "$0")/program.sh"

start_database
run_program hostile.py "$mercato" "$work/shop" "${database[@]}" "$@"
