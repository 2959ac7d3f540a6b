#!/usr/bin/env bash
# Pictures dropped into inbox/ become thumbnails in outbox/, with what is known of each beside it; one
# that is no picture is tried three times and then kept as a dead letter with the reason.
# Usage: examples/thumbnails.sh [CUMULET] [PICTURE]
set -euo pipefail
cumulet=$(command -v "${1:-cumulet}")
picture=${2:-$(dirname "$0")/../workloads/pictures/fruit.jpg}
folder=$(mktemp -d)
up=
finish() {
    if [[ -n $up ]] && kill "$up" 2>/dev/null; then wait "$up" || true; fi
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

state=$folder/state
"$cumulet" up --no-tui --state "$state" --port 0 --admin-port 0 --vms 1 >"$folder/log" 2>&1 &
up=$!
ask() { "$cumulet" --state "$state" function "$@"; }
until grep -qs 'pid="[1-9]' "$state/FunctionState.xml"; do sleep 0.2; done

ask create thumbnail --reused --memory 512 -- "$cumulet" function thumbnail --side 160
ask trigger add thumbnails --function thumbnail --folder "$folder/inbox" --output "$folder/outbox" \
    --attempts 3
until [[ -d $folder/inbox ]]; do sleep 0.2; done

cp "$picture" "$folder/inbox/"
echo "no picture" >"$folder/inbox/notes.txt"
until ask trigger list --json | grep '"dead": 1' >/dev/null && compgen -G "$folder/outbox/*.json" >/dev/null
do
    sleep 0.5
done

echo "== outbox"
ls -l "$folder/outbox"
cat "$folder"/outbox/*.json
echo "== dead"
ask trigger events thumbnails
echo "== all"
ask trigger list
