# Shared by blur.sh, enhance.sh, raytrace.sh and many.sh; not a program of its own.
#
# Runs in bash 3.2 (macOS) and later. Beside bash, curl and base64 it needs only tools that every
# Unix system has: awk, cut, head, mktemp, od, sed, sort, tail, tr.
# shellcheck shell=bash

set -euo pipefail
export LC_ALL=C # decimal points, and bytes instead of characters

program=${0##*/}
samples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

count=
at_once=1
url=http://127.0.0.1:8000
folder=./out

# The requests to choose from: three arrays with one entry each.
job_body=()  # file that holds the body
job_route=() # path and query
job_name=()  # what the answer's file is called, without an extension

# Which job each request is, by its place in those arrays. If empty, they take turns.
turns=()

# common_options_help DEFAULT_COUNT
common_options_help() {
    cat <<EOF
  -n N                  how many requests to send (default: $1)
  -c C                  how many at once (default: 1)
  -u URL                where the cluster is (default: http://127.0.0.1:8000)
  -o FOLDER             where the pictures go (default: ./out)
      --help            this text

Beside bash, only curl and base64 need to be installed. The exit code is 0 if every request
was answered well, 1 if one failed, 2 if the command was wrong.
EOF
}

wrong_usage() {
    printf '%s: %s\nTry %s --help.\n' "$program" "$1" "$0" >&2
    exit 2
}

# Takes -n, -c, -u or -o with its value: returns 1 if $1 is none of them. Shift by 2 after it.
common_option() {
    case $1 in
        -n | -c | -u | -o) [ $# -ge 2 ] || wrong_usage "$1 needs a value" ;;
        *) return 1 ;;
    esac
    case $1 in
        -n) whole_number "$1" "$2" && count=$2 ;;
        -c) whole_number "$1" "$2" && at_once=$2 ;;
        -u) url=${2%/} ;;
        -o) folder=${2%/} ;;
    esac
}

whole_number() {
    case $2 in
        '' | *[!0-9]* | 0*) wrong_usage "$1 $2: a whole number from 1 is needed" ;;
    esac
}

# Makes the folder for bodies and answers on their way; it goes when the program ends.
open_workshop() {
    command -v curl >/dev/null || stop "curl is not installed"
    command -v base64 >/dev/null || stop "base64 is not installed"
    workshop=$(mktemp -d "${TMPDIR:-/tmp}/cumulet.XXXXXX")
    trap 'rm -rf "$workshop"' EXIT
    trap 'stop_senders; exit 130' INT
    trap 'stop_senders; exit 143' TERM HUP
    mkdir -p "$folder" || exit 1
    # GNU says -d; BSD said -D until macOS 13.
    if [ "$(printf 'b2s=' | base64 -d 2>/dev/null)" = ok ]; then
        base64_decode=-d
    else
        base64_decode=-D
    fi
}

stop() {
    printf '%s: %s\n' "$program" "$1" >&2
    exit 1
}

stop_senders() {
    local running
    exec 2>/dev/null # nobody wants to know how long this took
    running=$(jobs -p)
    # Unquoted: one word for each process.
    # shellcheck disable=SC2086
    [ -z "$running" ] || kill $running || true
    wait || true
}

readable() {
    if [ ! -f "$1" ] || [ ! -r "$1" ]; then
        stop "$1: there is no such file, or it may not be read"
    fi
}

# add_picture_job blur|enhance PICTURE
add_picture_job() {
    local body extension name
    readable "$2"
    name=${2##*/}
    extension=$(printf '%s' "${name##*.}" | tr '[:upper:]' '[:lower:]')
    body=$workshop/body-${#job_body[@]}
    {
        printf 'data:image/%s;base64,' "$extension"
        base64 <"$2" | tr -d '\n'
    } >"$body"
    job_body+=("$body")
    job_route+=("/${1}image")
    job_name+=("${name%.*}-$1")
}

# add_scene_job SCENE TEXMAP QUERY; an empty TEXMAP means the one that the scene names, if any.
add_scene_job() {
    local body name texmap=$2
    readable "$1"
    [ -n "$texmap" ] || texmap=$(texmap_of "$1")
    [ -z "$texmap" ] || readable "$texmap"
    name=${1##*/}
    body=$workshop/body-${#job_body[@]}
    {
        printf '{"scene": "'
        scene_as_json "$1"
        printf '"'
        if [ -n "$texmap" ]; then
            printf ', "texmap": ['
            od -A n -v -t u1 "$texmap" | tr -s ' \n' ',' | sed 's/^,//; s/,$//' | tr -d '\n'
            printf ']'
        fi
        printf '}'
    } >"$body"
    job_body+=("$body")
    job_route+=("/raytracer?$3")
    job_name+=("${name%.*}")
}

# White space of any kind means the same in a scene, so line ends are all that need be kept.
scene_as_json() {
    tr '\001-\011\013-\037' ' ' <"$1" | sed 's/\\/\\\\/g; s/"/\\"/g' | awk '{ printf "%s\\n", $0 }'
}

# The picture that a scene's first texmap pigment names, if it lies beside the scene or among the
# samples.
texmap_of() {
    local name place
    name=$(tr -s '[:space:]' '\n' <"$1" | awk 'named && !n++ { print } { named = ($1 == "texmap") }')
    [ -n "$name" ] || return 0
    for place in "$(dirname "$1")" "$(dirname "$1")/../textures" "$samples/textures"; do
        if [ -f "$place/$name" ]; then
            printf '%s\n' "$place/$name"
            return 0
        fi
    done
    return 0
}

# query WIDTHxHEIGHT WINDOW ANTIALIAS: the query of a render; an empty WINDOW means all of it.
query() {
    local size=$1 window=$2 numbers
    case $size in *[!0-9x]* | x* | *x | *x*x*) size=wrong ;; *x*) ;; *) size=wrong ;; esac
    [ "$size" != wrong ] || wrong_usage "--size $1: WxH is needed, for example 640x480"
    [ -n "$window" ] || window=$size+0+0
    local shape='^([0-9]+)x([0-9]+)([+-][0-9]+)([+-][0-9]+)$'
    local parameters='wcols=\1\&wrows=\2\&coff=\3\&roff=\4'
    numbers=$(printf '%s\n' "$window" | sed -n -E "s/$shape/$parameters/p" | tr -d '+')
    [ -n "$numbers" ] || wrong_usage "--window $2: WxH+X+Y is needed, for example 200x100+40-10"
    printf 'scols=%s&srows=%s&%s&aa=%s\n' "${size%x*}" "${size#*x}" "$numbers" "$3"
}

# Sends the jobs in turn until there were $count requests, $at_once at a time.
send_all() {
    local request elapsed
    [ -n "$count" ] || count=${#job_body[@]}
    [ "$at_once" -le "$count" ] || at_once=$count
    if [ "${#turns[@]}" -eq 0 ]; then
        for ((request = 0; request < count; request++)); do
            turns+=($((request % ${#job_body[@]})))
        done
    fi
    : >"$workshop/results"
    TIMEFORMAT=%R
    { time run_senders 2>&3; } 3>&2 2>"$workshop/elapsed"
    elapsed=$(cat "$workshop/elapsed")
    if [ "$count" -gt 1 ] && [ -s "$workshop/results" ]; then
        summary "$elapsed"
    fi
    [ ! -e "$workshop/unreachable" ] && ! grep -q '^failed' "$workshop/results"
}

run_senders() {
    local sender
    for ((sender = 1; sender <= at_once; sender++)); do
        send_some &
    done
    wait
}

# One of the senders: takes the next request that nobody has taken until there are none.
send_some() {
    local request curl_process=''
    # Bash would wait for a curl in the foreground before it heeds a signal.
    trap '[ -z "$curl_process" ] || kill "$curl_process" 2>/dev/null; exit 143' TERM
    for ((request = 1; request <= count; request++)); do
        [ ! -e "$workshop/unreachable" ] || return 0
        if claim "$request"; then
            send_one "$request" || true
        fi
    done
}

# Creating a file that must not be there yet succeeds for one process alone.
claim() {
    local claimed=0
    set -o noclobber
    { : >"$workshop/claim-$1"; } 2>/dev/null || claimed=1
    set +o noclobber
    return "$claimed"
}

send_one() {
    local request=$1 job=${turns[$1 - 1]}
    local answer=$workshop/answer-$1 head=$workshop/head-$1
    local measured=$workshop/measured-$1 name=${job_name[job]} curl_exit=0 figures=''
    [ "$count" -eq 1 ] || name=$name-$(printf '%03d' "$request")
    : >"$answer"
    : >"$head"
    curl --silent --max-time 600 --output "$answer" --dump-header "$head" \
        --write-out '%{http_code} %{time_total}' --header 'Content-Type: text/plain' \
        --data-binary "@${job_body[job]}" "$url${job_route[job]}" >"$measured" &
    curl_process=$!
    wait "$curl_process" || curl_exit=$?
    curl_process=
    read -r figures <"$measured" || true # the line has no end
    case $curl_exit in
        0) ;;
        3 | 5 | 6 | 7)
            unreachable
            return 1
            ;;
        28) report failed "$name" "$figures" "$head" "no answer came in time" ;;
        *) report failed "$name" "$figures" "$head" \
            "the connection was lost before the whole answer had come (curl exit $curl_exit)" ;;
    esac
    if [ "$curl_exit" -eq 0 ]; then
        keep_answer "$name" "$figures" "$answer" "$head"
    fi
    rm -f "$answer" "$head" "$measured"
}

# Says it once, however many senders find it out.
unreachable() {
    if mkdir "$workshop/unreachable" 2>/dev/null; then
        printf '%s: nothing answers at %s: is the cluster running? ./run_LB_and_servers.sh\n' \
            "$program" "$url" >&2
    fi
}

# Decodes a good answer into the folder; explains a bad one.
keep_answer() {
    local name=$1 figures=$2 answer=$3 head=$4 prefix format file
    if [ "${figures%% *}" != 200 ]; then
        report failed "$name" "$figures" "$head" "$(explanation "$answer" "$head")"
        return
    fi
    # NUL bytes would make bash complain: they are not part of any good answer.
    prefix=$(head -c 64 "$answer" | tr -d '\000\n' | cut -d , -f 1)
    case $prefix in
        data:image/*';base64') ;;
        *)
            report failed "$name" "$figures" "$head" "the answer is no data:image/…;base64 text"
            return
            ;;
    esac
    format=${prefix#data:image/}
    file=$folder/$name.${format%;base64}
    if tail -c "+$((${#prefix} + 2))" "$answer" | base64 "$base64_decode" >"$file" &&
        [ -s "$file" ]; then
        report ok "$name" "$figures" "$head" "$file"
    else
        rm -f "$file"
        report failed "$name" "$figures" "$head" "the answer holds no picture"
    fi
}

# The sentence of a problem document (RFC 9457), or what there is instead.
explanation() {
    local detail wait
    detail=$(tr '\n' ' ' <"$1" | sed -n -E 's/.*"detail": *"(([^"\\]|\\.)*)".*/\1/p' |
        sed 's/\\n/ /g; s/\\"/"/g; s/\\\\/\\/g')
    [ -n "$detail" ] || detail=$(tr -d '\000' <"$1" | tr '\n' ' ' | cut -c 1-200)
    [ -n "$detail" ] || detail="the answer is empty"
    wait=$(header Retry-After "$2")
    [ -z "$wait" ] || detail="$detail (the server asks to try again in $wait s)"
    printf '%s\n' "$detail"
}

# header NAME FILE: the last value that a file of response headers gives for a name.
header() {
    awk -v name="$1" '
        { sub(/\r$/, "") }
        index(tolower($0), tolower(name) ":") == 1 {
            value = substr($0, length(name) + 2); sub(/^ */, "", value)
        }
        END { print value }' "$2"
}

# report ok|failed NAME "STATUS SECONDS" HEADERS TEXT: one line for people, one for the summary.
report() {
    local outcome=$1 name=$2 status=${3%% *} seconds=${3##* } vm attempts
    vm=$(header X-Cumulet-VM "$4")
    attempts=$(header X-Cumulet-Attempts "$4")
    [ "$status" != 000 ] || status=-
    case $attempts in '' | 1) attempts= ;; *) attempts=" ($attempts attempts)" ;; esac
    printf '%s %s\n' "$outcome" "${vm:--}" >>"$workshop/results"
    [ "$outcome" = ok ] || attempts="$attempts  $name:"
    # One write for the whole line, so that the lines of senders do not mix.
    awk -v outcome="$outcome" -v status="$status" -v seconds="$seconds" -v vm="${vm:--}" \
        'BEGIN { printf "%-6s %3s %7.0f ms  %-6s", outcome, status, 1000 * seconds, vm }' |
        { read -r start || true; printf '%s%s  %s\n' "$start" "$attempts" "$5"; }
}

# summary SECONDS
summary() {
    sort "$workshop/results" | awk -v seconds="$1" '
        { total++; outcomes[$1]++ }
        $2 != "-" { if (!($2 in served)) order[++vms] = $2; served[$2]++ }
        END {
            rate = seconds > 0 ? total / seconds : 0
            printf "%d requests: %d ok, %d failed, in %.1f s: %.1f requests/s", total,
                outcomes["ok"], outcomes["failed"], seconds, rate
            for (i = 1; i <= vms; i++) {
                printf "%s%s %d", i == 1 ? "; " : ", ", order[i], served[order[i]]
            }
            printf "\n"
        }'
}
