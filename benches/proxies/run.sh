#!/usr/bin/env bash
# Cumulet's balancer side by side with nginx and HAProxy, in one run. See --help.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

help() {
    cat <<EOF
Measures Cumulet's balancer side by side with nginx and HAProxy, and prints Markdown tables.

Usage: $0 [SECTION]...

  small    CPU time, throughput, memory at 64 connections; latency at a fixed rate
  bodies   bodies of 512 KB, in and out
  mixed    real requests of 1 ms to 10 s of work, in front of the same two VMs
  lost     what gets lost while a backend is killed every 0.7 s

Without a SECTION all of them. nginx and HAProxy are installed from Debian if they are missing;
python3 is needed. Rounds take turns, so that a noisy machine is noisy for all.

Cumulet finds the sockets of its VMs in the state folder, nginx and HAProxy are told their ports, as
anybody would. small and bodies measure the other way round as well: Cumulet by ports alone, the
others by sockets.

  CUMULET=FILE   the program to measure (default: target/release/cumulet)
  LOAD=FILE      the program that sends the requests (default: the same)
  ROUNDS=N       rounds of each measurement (default: 3)
  SCALE=N        percent of the usual number of requests (default: 100)
  KEEP=FOLDER    where reports and logs stay (default: they are removed)

Example: cargo build --release && $0 small
EOF
}

say() { printf '%s\n' "$*" >&2; }
stop() { say "$0: $1" && exit 1; }

three=(cumulet nginx haproxy)
other_ways=(cumulet-ports nginx-sockets haproxy-sockets)
connections=64

sections=("$@")
case ${1:-} in --help | -h) help && exit 0 ;; esac
[ $# -gt 0 ] || sections=(small bodies mixed lost)

cumulet=${CUMULET:-$here/../../target/release/cumulet}
load=${LOAD:-$cumulet}
rounds=${ROUNDS:-3}
scale=${SCALE:-100}
[ -x "$cumulet" ] || stop "$cumulet is not there: cargo build --release"
[ -x "$load" ] || stop "$load is not there"

install_peers() {
    local missing=() policy=/usr/sbin/policy-rc.d made=
    command -v python3 >/dev/null || missing+=(python3)
    command -v curl >/dev/null || missing+=(curl)
    command -v nginx >/dev/null || missing+=(nginx-light)
    command -v haproxy >/dev/null || missing+=(haproxy)
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || stop "please install: ${missing[*]}"
    # The packages would start their services at once; 101 is "not allowed" (policy-rc.d(8)).
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        made=yes
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q -y install "${missing[@]}" >"$work/apt.log" 2>&1 ||
        { apt-get -q update && apt-get -q -y install "${missing[@]}"; } >"$work/apt.log" 2>&1 ||
        stop "cannot install ${missing[*]}: $(tail -n 3 "$work/apt.log")"
    [ -z "$made" ] || rm -f "$policy"
}

started=()
finish() {
    local pid
    # The heart and the killer first: they start others.
    for pid in ${started[@]+"${started[@]}"} $(cat "$work"/backend-*.pid 2>/dev/null); do
        kill "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    [ -n "${KEEP:-}" ] || rm -rf "$work"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# Waits until something answers at a port.
answers() {
    local try
    for ((try = 0; try < 300; try++)); do
        if curl -sf -o /dev/null --max-time 5 "http://127.0.0.1:$1/test"; then return 0; fi
        sleep 0.1
    done
    stop "nothing answers on port $1: see $work (KEEP=FOLDER keeps it)"
}

# --- what is measured ---------------------------------------------------------------------------

# nginx_head NAME WORKERS: what every configuration of nginx here begins with.
nginx_head() {
    cat <<EOF
daemon off; worker_processes $2; pid $work/$1.pid; error_log $work/$1.log crit;
events { worker_connections 4096; }
http {
    access_log off; keepalive_requests 100000000; client_max_body_size 64m;
    client_body_temp_path $work/$1-body; proxy_temp_path $work/$1-proxy;
    fastcgi_temp_path $work/$1-fastcgi; uwsgi_temp_path $work/$1-uwsgi;
    scgi_temp_path $work/$1-scgi;
EOF
}

# write_nginx NAME BACKEND_ADDRESS...: upstream connections are kept, bodies fit into memory.
write_nginx() {
    local name=$1 address
    shift
    {
        nginx_head "$name" auto
        echo "    client_body_buffer_size 1m; proxy_buffers 16 64k; proxy_buffer_size 64k;"
        echo "    upstream backends {"
        echo "        least_conn;"
        for address in "$@"; do echo "        server $address max_fails=0;"; done
        cat <<EOF
        keepalive 128; keepalive_requests 100000000;
    }
    server {
        listen 127.0.0.1:${port[$name]} backlog=4096;
        location / {
            proxy_pass http://backends; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_read_timeout 600s; proxy_send_timeout 600s;
            proxy_next_upstream error timeout http_502 http_504 non_idempotent;
            proxy_next_upstream_tries 3;
        }
    }
}
EOF
    } >"$work/$name.conf"
}

# write_haproxy NAME BACKEND_ADDRESS...
write_haproxy() {
    local name=$1 address number=0
    shift
    {
        cat <<EOF
global
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    option http-keep-alive
    option redispatch 1
    retries 3
    retry-on all-retryable-errors
frontend all
    bind 127.0.0.1:${port[$name]}
    default_backend backends
backend backends
    balance leastconn
    http-reuse always
    option httpchk GET /test
    default-server check inter 500ms fall 2 rise 1
EOF
        for address in "$@"; do echo "    server s$((number += 1)) $address"; done
    } >"$work/$name.cfg"
}

# Tells the balancers of the backends that $work/fleet lists, as VMs tell of themselves.
write_fleet() {
    write_vm_state state ' socket="sockets/\1.\2"'
    write_vm_state state-ports ''
}

# write_vm_state FOLDER SOCKET: what is said of the socket of VM \1, process \2.
write_vm_state() {
    local id address pid socket now beside=$work/$1/VMState.xml.$BASHPID
    now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
    {
        echo '<?xml version="1.0" encoding="UTF-8"?>'
        echo "<VMState version=\"1\" seq=\"$(date +%s%3N)\">"
        while read -r id address pid; do
            socket=${2/\\1/$id}
            cat <<EOF
  <VM id="$id" state="running" address="$address" pid="$pid" instanceType="local"
      launchedAt="$began" runningSince="$began" reportedAt="$now"${socket/\\2/$pid}>
    <Load cpu="0.1" memoryBytes="1048576" inFlight="0" queued="0"/>
    <Served requests="0" failures="0" cpuSeconds="0"/>
  </VM>
EOF
        done <"$work/fleet"
        echo '</VMState>'
    } >"$beside"
    mv "$beside" "$work/$1/VMState.xml"
}

# start_proxies BACKEND_ADDRESS...: nginx and HAProxy in front of these, and the balancer in front of
# what $work/fleet lists, unless main[cumulet] is set: then it runs already.
start_proxies() {
    local proxy
    proxies=("${three[@]}")
    start_nginx nginx "$@"
    start_haproxy haproxy "$@"
    [ -n "${main[cumulet]:-}" ] || start_balancer cumulet state
    for proxy in "${proxies[@]}"; do answers "${port[$proxy]}"; done
}

# start_other_ways SOCKET...: the same in front of sockets, and the balancer in front of ports.
start_other_ways() {
    local proxy
    start_nginx nginx-sockets "${@/#/unix:}"
    start_haproxy haproxy-sockets "${@/#/unix@}"
    start_balancer cumulet-ports state-ports
    for proxy in "${other_ways[@]}"; do answers "${port[$proxy]}"; done
    proxies+=("${other_ways[@]}")
}

start_nginx() {
    write_nginx "$@"
    nginx -p "$work" -c "$work/$1.conf" 2>"$work/$1.err" &
    main[$1]=$!
    started+=("${main[$1]}")
}

start_haproxy() {
    write_haproxy "$@"
    haproxy -db -f "$work/$1.cfg" >"$work/$1.log" 2>&1 &
    main[$1]=$!
    started+=("${main[$1]}")
}

# start_balancer NAME FOLDER: as `up` starts it; by hand it would print every request.
start_balancer() {
    python3 "$here/inherit.py" "${port[$1]}" \
        "$cumulet" balancer --state "$work/$2" --listeners-inherited 2>"$work/$1.log" &
    main[$1]=$!
    started+=("${main[$1]}")
}

end() {
    local pid
    for pid in "$@"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

stop_proxies() {
    end "${main[@]}"
    main=()
}

# The process of a proxy and those that it started.
processes() {
    echo "${main[$1]}"
    [[ $1 != nginx* ]] || cat "/proc/${main[$1]}/task/${main[$1]}/children"
}

# CPU time so far of a proxy, in ticks of the system's clock (100 a second).
ticks() {
    local pid sum=0 stat fields
    for pid in $(processes "$1"); do
        stat=$(cat "/proc/$pid/stat")
        # Behind the name: state is field 3, utime 14, stime 15 (proc_pid_stat(5)).
        read -r -a fields <<<"${stat##*) }"
        sum=$((sum + fields[11] + fields[12]))
    done
    echo "$sum"
}

resident_kb() {
    local pid sum=0
    for pid in $(processes "$1"); do
        sum=$((sum + $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")))
    done
    echo "$sum"
}

# measure NAME ROUND LOAD_ARGUMENT...: the same load through each of them; in the next round another
# one is first.
measure() {
    local name=$1 round=$2 turn proxy before report
    shift 2
    for turn in "${!proxies[@]}"; do
        proxy=${proxies[(turn + round) % ${#proxies[@]}]}
        report=$work/reports/$name.$proxy.$round
        before=$(ticks "$proxy")
        "$load" load --url "http://127.0.0.1:${port[$proxy]}" --output "$report.json" "$@" \
            >"$report.txt" 2>&1 || true
        [ -s "$report.json" ] || stop "$name through $proxy: $(cat "$report.txt")"
        echo "$(($(ticks "$proxy") - before)) $(resident_kb "$proxy")" >"$report.used"
    done
}

# times N: N at the scale that is wanted.
times() { echo $((($1 * scale + 99) / 100)); }

# --- sections -----------------------------------------------------------------------------------

# A backend that takes no time: nginx, under three addresses and three sockets.
start_fast_backend() {
    local number
    fast=("$(free_port)" "$(free_port)" "$(free_port)")
    doors=("$work/door-1" "$work/door-2" "$work/door-3")
    head -c 524288 /dev/urandom >"$work/512k"
    {
        nginx_head fast 1
        cat <<EOF
    default_type text/plain;
    server {
        listen 127.0.0.1:${fast[0]}; listen 127.0.0.1:${fast[1]}; listen 127.0.0.1:${fast[2]};
        listen unix:${doors[0]}; listen unix:${doors[1]}; listen unix:${doors[2]};
        root $work;
        location = /health { return 200 "OK: 0.100"; }
        location = /512k { }
        location / { return 200 "OK"; }
    }
}
EOF
    } >"$work/fast.conf"
    nginx -p "$work" -c "$work/fast.conf" 2>"$work/fast.err" &
    backend=$!
    started+=("$backend")
    for number in 0 1 2; do
        echo "vm-$((number + 1)) 127.0.0.1:${fast[number]} $backend"
        ln -sf "${doors[number]}" "$work/state/sockets/vm-$((number + 1)).$backend"
    done >"$work/fleet"
    answers "${fast[0]}"
    chmod a+rw "${doors[@]}" # nginx asks them as another user
}

# The balancer takes a VM that does not report for suspect, so these report.
start_heart() {
    write_fleet
    while sleep 1; do write_fleet; done &
    heart=$!
    started+=("$heart")
}

with_fast_backend() {
    start_fast_backend
    start_heart
    start_proxies 127.0.0.1:"${fast[0]}" 127.0.0.1:"${fast[1]}" 127.0.0.1:"${fast[2]}"
    start_other_ways "${doors[@]}"
    "$@"
    stop_proxies
    end "$heart" "$backend"
}

small() {
    local round
    for ((round = 0; round < rounds; round++)); do
        measure small "$round" --request "GET /test" --mix request \
            -c "$connections" -n "$(times 100000)"
        measure rate "$round" --request "GET /test" --mix request --rate 500 --duration 3s
        "$load" load --url "http://127.0.0.1:${fast[0]}" --request "GET /test" --mix request \
            --rate 500 --duration 3s --output "$work/reports/rate.direct.$round.json" \
            >/dev/null 2>&1
    done
}

bodies() {
    local round
    for ((round = 0; round < rounds; round++)); do
        measure out "$round" --request "GET /512k" --mix request -c 16 -n "$(times 1000)"
        measure in "$round" --request "POST /sink" --mix request --body "$work/512k" -c 16 \
            -n "$(times 1000)"
    done
}

# Two VMs of one vCPU each do real work; the three proxies take turns in front of them.
mixed() {
    local addresses=() try round cluster
    cat >"$work/cumulet.toml" <<EOF
vms = 2
instance_type = "bench"
[autoscaler]
minimum = 2
maximum = 2
[instance_types.bench]
vcpus = 1
memory_mib = 4096
boot = "0s"
EOF
    "$cumulet" --config "$work/cumulet.toml" up --no-tui --state "$work/cluster" \
        --port "${port[cumulet]}" --admin-port 0 >"$work/cluster.log" 2>&1 &
    cluster=$!
    started+=("$cluster")
    for ((try = 0; try < 300; try++)); do
        mapfile -t addresses < <(sed -n 's/.*state="running" address="\([^"]*\)".*/\1/p' \
            "$work/cluster/VMState.xml" 2>/dev/null)
        [ "${#addresses[@]}" -lt 2 ] || break
        sleep 0.1
    done
    [ "${#addresses[@]}" -eq 2 ] || stop "the cluster has no two VMs: $(cat "$work/cluster.log")"
    main[cumulet]=$(sed -n 's/^balancer_pid = //p' "$work/cluster/cluster.toml")
    start_proxies "${addresses[@]}"
    for ((round = 0; round < (rounds + 2) / 3; round++)); do
        measure mixed "$round" --mix blur=3,enhance=3,raytrace=1 --distinct 20 \
            --picture-size log-uniform:0.03..3 --render-size log-uniform:0.003..12 \
            --shapes log-uniform:2..120 --seed $((round + 1)) -c 16 -n "$(times 350)" \
            --timeout 600s
    done
    main[cumulet]=$cluster
    stop_proxies
}

start_slow_backend() {
    # Its shell becomes it, so that its socket is named after its process.
    bash -c 'exec python3 "$0" "$1" "$2.$$"' "$here/backend.py" "${slow[$1]}" \
        "$work/state/sockets/vm-$(($1 + 1))" &
    disown # nobody wants to be told that it was killed
    echo $! >"$work/backend-$1.pid"
}

list_slow_backends() {
    local number
    for number in 0 1 2; do
        echo "vm-$((number + 1)) 127.0.0.1:${slow[number]} $(cat "$work/backend-$number.pid")"
    done >"$work/fleet.new"
    mv "$work/fleet.new" "$work/fleet"
}

# Kills one backend after the other, every 0.7 s; each is started again after 0.3 s. On a machine
# that is too busy for that the next one waits, so that never more than one is away.
kill_backends() {
    local number=0
    while sleep 0.4; do
        kill -9 "$(cat "$work/backend-$number.pid")" || true
        sleep 0.3
        start_slow_backend "$number"
        answers "${slow[number]}"
        list_slow_backends
        write_fleet
        number=$(((number + 1) % 3))
    done
}

lost() {
    local number killer
    slow=("$(free_port)" "$(free_port)" "$(free_port)")
    head -c 524288 /dev/urandom >"$work/512k"
    for number in 0 1 2; do start_slow_backend "$number"; done
    for number in 0 1 2; do answers "${slow[number]}"; done
    list_slow_backends
    start_heart
    start_proxies 127.0.0.1:"${slow[0]}" 127.0.0.1:"${slow[1]}" 127.0.0.1:"${slow[2]}"
    kill_backends 2>/dev/null &
    killer=$!
    started+=("$killer")
    measure lost-get 0 --request "GET /blurimage/get" --mix request -c 12 --duration 8s
    measure lost-post 0 --request "POST /blurimage/post" --mix request --body "$work/512k" -c 12 \
        --duration 8s
    measure lost-stream 0 --request "POST /blurimage/stream" --mix request --body "$work/512k" \
        -c 12 --duration 8s
    end "$killer"
    stop_proxies
    end "$heart"
    # The killer's children are not ours to wait for.
    for number in 0 1 2; do kill "$(cat "$work/backend-$number.pid")" 2>/dev/null || true; done
}

# ------------------------------------------------------------------------------------------------

work=${KEEP:-$(mktemp -d)}
mkdir -p "$work/state/sockets" "$work/state-ports" "$work/reports"
chmod 755 "$work" # nginx serves files as another user
work=$(cd "$work" && pwd)
trap finish EXIT
trap 'exit 130' INT TERM
install_peers
began=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
declare -A port main
for section in "${sections[@]}"; do
    for proxy in "${three[@]}" "${other_ways[@]}"; do port[$proxy]=$(free_port); done
    say "$section …"
    case $section in
        small | bodies) with_fast_backend "$section" ;;
        mixed | lost) "$section" ;;
        *) stop "there is no section $section: see --help" ;;
    esac
done
nginx_version=$(nginx -v 2>&1)
haproxy_version=$(haproxy -v)
haproxy_version=${haproxy_version%%$'\n'*}
echo "$(uname -m), $(nproc) cores, load $(cut -d ' ' -f 1-3 /proc/loadavg) at the end, $SECONDS s." \
    "$("$cumulet" --version), ${nginx_version##*: }, ${haproxy_version%% - *}."
python3 "$here/table.py" "$work/reports"
