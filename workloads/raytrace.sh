#!/usr/bin/env bash
# Renders scenes on a running cluster and keeps the pictures. See --help.
# shellcheck source=workloads/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

help() {
    cat <<EOF
Renders scenes on a running cluster and keeps the pictures.

Usage: $0 [OPTION]... [SCENE]...

Each SCENE is a file such as those in scenes/ beside this script; without one, scenes/spheres.txt
is sent. With more requests than scenes they take turns.

      --size WxH        size of the whole scene in pixels (default: 640x480)
      --window WxH+X+Y  render only a part: its size and its offset. X counts from the left; with
                        Y = 0 the part is at the bottom, and a negative Y moves it up.
      --antialias       four rays a pixel instead of one
      --texmap FILE     the picture for texmap pigments (default: the one that the scene names,
                        if it is beside the scene or in textures/ beside this script)
$(common_options_help "one for each SCENE")

Example: $0 --size 960x640 --antialias $samples/scenes/fruit.txt
EOF
}

scenes=()
size=640x480
window=
antialias=false
texmap=
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help && exit 0 ;;
        --antialias) antialias=true && shift ;;
        --size | --window | --texmap)
            [ $# -ge 2 ] || wrong_usage "$1 needs a value"
            case $1 in
                --size) size=$2 ;;
                --window) window=$2 ;;
                --texmap) texmap=$2 ;;
            esac
            shift 2
            ;;
        -?*)
            common_option "$@" || wrong_usage "there is no option $1"
            shift 2
            ;;
        *) scenes+=("$1") && shift ;;
    esac
done
[ "${#scenes[@]}" -gt 0 ] || scenes=("$samples/scenes/spheres.txt")
query=$(query "$size" "$window" "$antialias")

open_workshop
for scene in "${scenes[@]}"; do
    add_scene_job "$scene" "$texmap" "$query"
done
send_all
