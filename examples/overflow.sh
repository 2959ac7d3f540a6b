#!/usr/bin/env bash
# A burst meets one small VM: what is short overflows to functions while more VMs boot, then the
# functions drain away. Then the same burst with VMs alone. Usage: examples/overflow.sh [CUMULET]
set -euo pipefail
cumulet=${1:-cumulet}
folder=$(mktemp -d)
up=
finish() {
    if [[ -n $up ]] && kill "$up" 2>/dev/null; then wait "$up" || true; fi
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

# A VM is a quarter of a vCPU and boots in 12 s, so that what shows is the fleet's size and not the
# machine's.
cat >"$folder/cumulet.toml" <<'TOML'
vms = 1
instance_type = "quarter"
boot_scale = 1
report_every = "1s"

[autoscaler]
maximum = 5

[instance_types.quarter]
vcpus = 1
memory_mib = 512
baseline = 0.25
launch_credits = 0
unlimited = false
price_per_hour = 0.0116
boot = "12s"
TOML

run() { # NAME MODE
    local state=$folder/$1
    "$cumulet" up --no-tui --state "$state" --config "$folder/cumulet.toml" --port 0 \
        --admin-port 0 --set functions.overflow="$2" >"$folder/$1.log" 2>&1 &
    up=$!
    # The first boot is not the burst's.
    until grep -q 'state="running"' "$state/VMState.xml" 2>/dev/null; do
        sleep 0.2
    done
    echo "== $1 (functions.overflow=$2)"
    # That some requests fail, where VMs are alone, is a result like any other.
    "$cumulet" load --state "$state" --mix blur=1 --picture-size 1 --formats jpeg --rate 1 \
        --duration 15s --seed 7 >/dev/null || echo "-- some requests failed before the burst"
    "$cumulet" load --state "$state" --mix blur=1 --picture-size 1 --formats jpeg --rate 60 \
        --arrivals poisson --duration 90s --seed 7 --output "$folder/$1.json" ||
        echo "-- some requests failed"
    echo "-- who answered, every 5 s"
    awk '{
        for (i = 1; i <= NF; i++) { split($i, pair, "="); field[pair[1]] = pair[2] }
        split(field["at"], clock, /[T:.]/)
        slot = int((clock[2] * 3600 + clock[3] * 60 + clock[4]) / 5)
        if (!first) first = slot
        who = field["vm"] ~ /^function/ ? "functions" : "VMs"
        count[slot - first, who]++
        if (slot - first > last) last = slot - first
    } END {
        for (slot = 0; slot <= last; slot++)
            printf "%3d s  VMs %5d  functions %5d\n", slot * 5, count[slot, "VMs"], count[slot, "functions"]
    }' "$state/metrics.txt"
    "$cumulet" cost --state "$state" --config "$folder/cumulet.toml"
    "$cumulet" events --state "$state" | grep -E "decided|scale|launch" | head -20 || true
    "$cumulet" function list --state "$state"
    if kill "$up"; then wait "$up" || true; fi
    up=
}

run overflow while-scaling
run vms-alone off
"$cumulet" load compare "$folder/overflow.json" "$folder/vms-alone.json"
