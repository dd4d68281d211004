# await ROOT TOKEN SECONDS: waits until the switch is checked or has gone back; says which.
i=0
while [ $i -le "$1" ]; do
  if [ -f "$R/last/state" ] && [ ! -d "$R/pending" ]; then echo "state $(cat "$R/last/state")"; cat "$R/last/output" 2>/dev/null; exit 0; fi
  s=; [ -f "$R/pending/state" ] && s=$(cat "$R/pending/state")
  case $s in checked|stuck*) echo "state $s"; exit 0;; esac
  if sleep 0.2 2>/dev/null; then f=$((${f:-0} + 1)); [ $f -lt 5 ] || { f=0; i=$((i + 1)); }; else sleep 1; i=$((i + 1)); fi
done
echo "state waiting"
