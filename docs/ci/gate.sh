#!/bin/sh
# The gate for any CI server: `gate.sh BASE`, in the repository. Markdown for a comment is left in $GATE_REPORT, if that is set.
set -eu

base=${1:?the revision to compare with, origin/main for example}
set -- --against "$base" --board all
if [ -n "${GATE_REPORT:-}" ]; then
  exec overlayctl gate "$@" --report markdown "$GATE_REPORT"
fi
exec overlayctl gate "$@"
