#!/bin/sh
# Builds the fuzz targets and runs each for SECONDS (1200 when absent); names behind that run these alone. What is found and learnt stays
# in fuzz/corpus and fuzz/artifacts, which are not kept in git; the corpora begin with fuzz/seeds. At the end a table: executions, the
# seed of libFuzzer's numbers, what became of it. Ends with 1 when a target failed.
#
#   fuzz/run.sh [SECONDS] [TARGET...]        JOBS=2: so many at a time
#
# Wants cargo-fuzz and a C++ compiler; a stable Rust will do. One failure again: fuzz/run.sh's own program with the file as argument.
set -eu
cd "$(dirname "$0")"
seconds=${1:-1200}
[ $# -gt 0 ] && shift
targets=${*:-archive config drv elf graph journal mail nixlog overlay patch}
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is not installed: cargo install cargo-fuzz --locked" >&2; exit 2; }

# The versions that the program itself is built with.
cp ../Cargo.lock Cargo.lock
export RUSTC_BOOTSTRAP=1 RAYON_NUM_THREADS=1
cargo fuzz build -O -a -s none
programs=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/$(rustc -vV | sed -n 's/host: //p')/release
mkdir -p corpus artifacts logs

one() {
    target=$1
    seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
    mkdir -p "corpus/$target"
    dictionary=
    [ -f "dictionaries/$target.dict" ] && dictionary=-dict=dictionaries/$target.dict
    echo "$target: seed $seed" >&2
    status=0
    "$programs/$target" "corpus/$target" "seeds/$target" -seed="$seed" -max_total_time="$seconds" -timeout=10 \
        -max_len=4096 -rss_limit_mb=3000 -print_final_stats=1 -artifact_prefix="artifacts/$target-" $dictionary \
        >"logs/$target" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "logs/$target")
    result=ok
    [ $status -eq 0 ] || result="FAILED: $(grep -m1 -A1 'panicked at\|ERROR: libFuzzer' "logs/$target" | tr '\n' ' ' | cut -c1-150)"
    printf '%-8s %12s  %10s  %s\n' "$target" "${runs:-?}" "$seed" "$result" >"logs/$target.row"
}

running=0
for target in $targets; do
    one "$target" &
    running=$((running + 1))
    if [ $running -ge "${JOBS:-1}" ]; then
        wait
        running=0
    fi
done
wait
printf '%-8s %12s  %10s  %s\n' target executions seed "each $seconds s"
for target in $targets; do cat "logs/$target.row"; done
! grep -q FAILED $(for target in $targets; do echo "logs/$target.row"; done)
