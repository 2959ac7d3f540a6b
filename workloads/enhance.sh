#!/usr/bin/env bash
# Enhances the contrast of pictures on a running cluster and keeps the results. See --help.
# shellcheck source=workloads/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

help() {
    cat <<EOF
Enhances the contrast of pictures on a running cluster and keeps the results.

Usage: $0 [OPTION]... [PICTURE]...

Each PICTURE is a JPEG, PNG, GIF, BMP or TIFF file whose extension says which; without one,
pictures/dusk.jpg beside this script is sent. With more requests than pictures they take turns.

$(common_options_help "one for each PICTURE")

Example: $0 -n 20 -c 4 holiday.jpg
EOF
}

pictures=()
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit 0 ;;
        -?*)
            common_option "$@" || wrong_usage "there is no option $1"
            shift 2
            ;;
        *) pictures+=("$1") && shift ;;
    esac
done
[ "${#pictures[@]}" -gt 0 ] || pictures=("$samples/pictures/dusk.jpg")

open_workshop
for picture in "${pictures[@]}"; do
    add_picture_job enhance "$picture"
done
send_all
