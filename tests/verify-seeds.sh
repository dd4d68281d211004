#!/bin/bash
# Builds every seed of tests/verify_seeds and prints what was wanted, what `verify` said and by which cause. Takes about ten minutes.
#
# usage: tests/verify-seeds.sh [NAME]     only the seeds that have NAME in theirs
set -euo pipefail
cd "$(dirname "$0")/.."
OVERLAYCTL_SEEDS=${1:-all} cargo test --locked --test verify_seeds -- --nocapture
