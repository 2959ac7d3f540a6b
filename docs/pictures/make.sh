#!/usr/bin/env bash
# Makes the pictures of the README and the recording of a scale-out, from a real cluster that a real
# load makes grow. Needs tmux.  usage: docs/pictures/make.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

program=$(realpath "${1:-target/release/cumulet}")
if [ ! -x "$program" ]; then
    echo "There is no $program: run cargo build --release." >&2
    exit 1
fi
pictures=$PWD/docs/pictures
recording=$PWD/docs/recordings/scale-out.jsonl
folder=$(mktemp -d)
state=$folder/state
server=cumulet-pictures-$$

finish() {
    tmux -L "$server" kill-server 2>/dev/null || true
    kill -TERM "$up" 2>/dev/null || true
    wait "$up" 2>/dev/null || true
    rm -rf "$folder"
}

# A small machine shares its cores among the VMs: few vCPUs and a slow start show best.
"$program" --state "$state" up --no-tui --vms 1 --port 0 --admin-port 0 --report-every 1s \
    --set instance_type=t3.micro --set boot_scale=0.3 \
    --set autoscaler.policy=staffing --set autoscaler.maximum=4 >"$folder/up.log" 2>&1 &
up=$!
trap finish EXIT

cumulet() {
    "$program" --state "$state" "$@"
}

for _ in $(seq 300); do
    cumulet top --once >/dev/null 2>&1 && cumulet list 2>/dev/null | grep -q running && break
    sleep 0.2
done

tmux -u -f /dev/null -L "$server" new-session -d -x 120 -y 40 \
    env LC_ALL=C.UTF-8 "$program" --state "$state" top --record "$recording"
sleep 3
cumulet load --rate 4..16 --duration 35s --picture-size 0.4..1 --render-size 0.1..0.2 \
    >"$folder/load.log" 2>&1 &
load=$!
# The pictures are of a fleet that grows, and of some seconds of the load that makes it grow.
sleep 10
for _ in $(seq 100); do
    cumulet top --once 2>/dev/null | grep -q '^SCALING' && break
    sleep 0.2
done
sleep 2
for screen in overview requests autoscaler; do
    cumulet top --svg "$screen" --size 120x40 >"$pictures/$screen.svg"
done
wait "$load" || true
sleep 3
tmux -L "$server" send-keys q
sleep 1
ls -l "$pictures" "$recording"
