#!/bin/sh
# The flame graph of a backfill, docs/plots/backfill.svg: a million entries, shipped by the program as packages have it. Needs perf,
# and inferno (`cargo install inferno`).
set -eu
cd "$(dirname "$0")/.."
data=$(mktemp)
trap 'rm -f "$data"' EXIT
JOURNAL_SHIP_BENCH_RUNS=1 JOURNAL_SHIP_BENCH_PROFILE=$data cargo bench --bench backfill
# Frames that say nothing are left out.
perf script -i "$data" 2>/dev/null | inferno-collapse-perf |
    sed -E -e 's/\[unknown\];//g' -e 's/core::ops::function::FnOnce::call_once\{\{vtable.shim\}\};//g' \
        -e 's/std::sys::backtrace::__rust_begin_short_backtrace/thread/g' |
    inferno-flamegraph --no-javascript --minwidth 0.5 --countname ns \
        --title 'journal-ship ships a million entries: where processor time goes' > docs/plots/backfill.svg
