#!/usr/bin/env bash
# Sends a mix of all the samples to a running cluster. See --help.
# shellcheck source=workloads/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

help() {
    cat <<EOF
Sends a mix of requests to a running cluster: blur and enhance with all the sample pictures and
raytrace with all the sample scenes, in turn. Ends with a summary.

Usage: $0 [OPTION]...

      --mix MIX         how often each of them comes (default: blur=1,enhance=1,raytrace=1)
      --size WxH        size of the rendered pictures (default: 400x300)
$(common_options_help "30")

Example: $0 -n 200 -c 8 --mix blur=1,raytrace=3
EOF
}

# The share of a kind in the mix, 0 if it is not named.
share() {
    local part share=0
    for part in $(printf '%s' "$mix" | tr ',' ' '); do
        case $part in
            blur=* | enhance=* | raytrace=*) ;;
            *) wrong_usage "--mix $mix: such as blur=1,enhance=1,raytrace=1 is needed" ;;
        esac
        case ${part#*=} in
            '' | *[!0-9]* | ????*) wrong_usage "--mix $mix: a share is a number from 0 to 999" ;;
        esac
        [ "${part%%=*}" != "$1" ] || share=${part#*=}
    done
    printf '%s\n' "$share"
}

mix=blur=1,enhance=1,raytrace=1
size=400x300
count=30
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit 0 ;;
        --mix | --size)
            [ $# -ge 2 ] || wrong_usage "$1 needs a value"
            case $1 in --mix) mix=$2 ;; --size) size=$2 ;; esac
            shift 2
            ;;
        -?*)
            common_option "$@" || wrong_usage "there is no option $1"
            shift 2
            ;;
        *) wrong_usage "$1: pictures and scenes cannot be named here, all samples are sent" ;;
    esac
done
blurs=$(share blur)
enhances=$(share enhance)
renders=$(share raytrace)
[ $((blurs + enhances + renders)) -gt 0 ] || wrong_usage "--mix $mix: nothing is left to send"
query=$(query "$size" "" false)

open_workshop
pictures=("$samples"/pictures/*.*)
scenes=("$samples"/scenes/*.txt)
for picture in "${pictures[@]}"; do
    add_picture_job blur "$picture"
done
for picture in "${pictures[@]}"; do
    add_picture_job enhance "$picture"
done
for scene in "${scenes[@]}"; do
    add_scene_job "$scene" "" "$query"
done

# Smooth weighted round robin: at each step every kind gains its share; the one that has most is
# next and pays the sum of all shares.
blur_credit=0 enhance_credit=0 render_credit=0
blurred=0 enhanced=0 rendered=0
for ((request = 1; request <= count; request++)); do
    blur_credit=$((blur_credit + blurs))
    enhance_credit=$((enhance_credit + enhances))
    render_credit=$((render_credit + renders))
    all=$((blurs + enhances + renders))
    if ((blur_credit >= enhance_credit && blur_credit >= render_credit)); then
        turns+=($((blurred % ${#pictures[@]})))
        blur_credit=$((blur_credit - all)) blurred=$((blurred + 1))
    elif ((enhance_credit >= render_credit)); then
        turns+=($((${#pictures[@]} + enhanced % ${#pictures[@]})))
        enhance_credit=$((enhance_credit - all)) enhanced=$((enhanced + 1))
    else
        turns+=($((2 * ${#pictures[@]} + rendered % ${#scenes[@]})))
        render_credit=$((render_credit - all)) rendered=$((rendered + 1))
    fi
done
send_all
