#!/usr/bin/env bash
# Reads of the catalog while products change and orders are placed: how often a response is found in
# memory, how long requests take, and that nobody gets anything older than what was acknowledged.
#
#   benches/mixed.sh [sqlite|postgres] [MERCATO] [OPTIONS]
#
#   --cache BYTES      RESPONSE_CACHE_BYTES; 0 to compare
#   --seconds 60 --pages 1000 --updates 20 --orders 50 --products 10000
#
# MERCATO is the server; by default, a release build is made. The load is a Python process. Everything
# listens on loopback and stops when the script ends. Needs python3, and for PostgreSQL its binaries.
set -euo pipefail
backend=sqlite
. "$(dirname "$0")/program.sh"

start_database
run_program mixed.py "$mercato" "$work" "${database[@]}" "$@"
