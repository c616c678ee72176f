#!/usr/bin/env bash
# Duration of the most expensive searches that anonymous callers and staff may send, one at a time,
# in a shop with many products. Fails if the median of any of them exceeds 100 ms.
#
#   benches/search.sh [sqlite|postgres] [MERCATO] [OPTIONS]
#
#   --products N     size of the catalog (default 100000); each product has two variants in stock
#                    and three tags
#   --times N        how often each search is sent (default 20)
#   --only WORD      only the searches that contain this word
#   --shop FILE      an SQLite shop that is kept between runs; created if it does not exist
#
# MERCATO is the server; by default, a release build is made. Every product contains the word
# `common`, and has the vendor, type, price and tags that a search like `-tag:*` has to examine and
# discard; its other words are from a vocabulary with few frequent words. The 99th percentile is for
# information only: on a busy machine it reflects other load. Everything listens on loopback and
# stops when the script ends. Needs python3, and for PostgreSQL its binaries.
set -euo pipefail
backend=sqlite
. "$(dirname "$0")/program.sh"

start_database
run_program search.py "$mercato" "$work" "${database[@]}" "$@"
