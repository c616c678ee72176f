#!/usr/bin/env bash
# Times of an AWS Lambda function, through an emulator of Lambda's runtime API on this machine:
# of cold starts, each with a process of its own, and of warm invocations. What Lambda itself adds
# (placing an instance, fetching the package) is not included.
#
#   benches/lambda.sh [COLD] [WARM]         20 cold starts and 1,000 warm invocations by default
#
# Needs python3 and the binaries of PostgreSQL; or, if DATABASE_URL is set, uses that PostgreSQL
# database, which must be empty. The function is the release build with the feature `lambda`
# (`cargo build --release --features lambda`), or the binary at $MERCATO; everything listens on
# loopback and stops when the script ends. To emulate a small instance, pin it to one processor:
# `taskset -c 0 benches/lambda.sh`.
set -euo pipefail
cd "$(dirname "$0")/.."
cold=${1:-20} warm=${2:-1000}
mercato=${MERCATO:-target/release/mercato}
. benches/work.sh
"$mercato" lambda --help >/dev/null || { echo "build it with: cargo build --release --features lambda" >&2 && exit 2; }
if [ -z "${DATABASE_URL:-}" ]; then
    . benches/postgres.sh
    start_postgres
    export DATABASE_URL=postgres://mercato@127.0.0.1:$port/shop
fi
export JWT_SECRET=a-secret-of-benchmarks-that-is-long-enough
"$mercato" import products src/services/shop/demo/products.csv >/dev/null

export AWS_LAMBDA_FUNCTION_NAME=shop AWS_LAMBDA_FUNCTION_VERSION='$LATEST' AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512
export MEDIA_URL=s3://images AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret MAIL_DIR=$work/mail
export AUTO_MIGRATE=false DB_POOL_SIZE=2 RUST_LOG=${RUST_LOG:-warn} RATE_LIMIT_ANONYMOUS=off
python3 benches/lambda.py "$mercato" "$cold" "$warm" benches/catalog_page.graphql
