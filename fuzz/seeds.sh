#!/usr/bin/env bash
# Writes the inputs that fuzzing starts from into fuzz/corpus: our own samples, in the form that
# each target reads. What fuzzing itself found before is kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly goldens=../tests/goldens
readonly pictures=$goldens/imaging/in
readonly textures=$goldens/raytracer

# seed TARGET NAME: stdin becomes an input.
seed() {
    mkdir -p "corpus/$1"
    cat >"corpus/$1/$2"
}

# json SCENE TEXTURE: the body of a render.
json() {
    printf '{"scene": "%s", "texmap": [%s]}' \
        "$(tr -s '\r\n\t ' ' ' <"$1")" \
        "$(od -An -v -tu1 "$2" | tr -s ' \n' ',' | sed 's/^,//; s/,$//')"
}

data_url() { # LABEL FILE
    printf 'data:image/%s;base64,%s\n' "$1" "$(base64 <"$2")"
}

form() { # NAME FILE [NAME FILE]
    while [ $# -gt 0 ]; do
        printf -- '--b\r\nContent-Disposition: form-data; name="%s"; filename="f"\r\n\r\n' "$1"
        cat "$2"
        printf '\r\n'
        shift 2
    done
    printf -- '--b--\r\n'
}

readonly form_type='multipart/form-data; boundary=b'
readonly path='/raytracer?scols=12&srows=9&wcols=12&wrows=9&coff=-1&roff=2&aa=true'

for scene in "$textures"/own*.txt; do
    name=$(basename "$scene" .txt)
    seed scene "$name" <"$scene"
    { printf '%s\n\n' "$path"; cat "$scene"; } | seed request "$name"
done
for texture in "$textures"/tex*; do
    name=$(basename "$texture")
    json "$textures/own04-texmap.txt" "$texture" | seed render_json "$name"
    { printf '%s\nimage/png\n' "$path"; json "$textures/own04-texmap.txt" "$texture"; } |
        seed request "json-$name"
    { printf '%s\n%s\n' "$path" "$form_type"
      form scene "$textures/own04-texmap.txt" texmap "$texture"; } | seed request "form-$name"
    { printf '%s\n' "$form_type"; form scene "$textures/own04-texmap.txt" texmap "$texture"; } |
        seed multipart "$name"
done
printf '{"other": [1, -2.5e3, true, {"a": null}], "scene": "\\u00e4\\ud83d\\ude00", "texmap": null}' |
    seed render_json members
for picture in "$pictures"/*; do
    name=$(basename "$picture")
    head -c 400 "$picture" | seed header "$name"
    for wish in 'blur' 'enhance jpg' 'blur gif'; do
        { printf '%s\n' "$wish"; cat "$picture"; } | seed picture "$name-${wish// /-}"
    done
    case $name in z_1x1*|z_tiny*|z_bw*|z_pal*|z_65*)
        data_url "${name##*.}" "$picture" | seed data_url "$name"
        { printf '/blurimage\n\n'; data_url JPG "$picture"; } | seed request "url-$name"
        { printf '/enhanceimage\n%s\n' "$form_type"; form f "$picture"; } | seed request "form-$name"
    esac
done
printf '\0\0\12\2\377\200\0\100' | seed header wbmp
printf 'blur png\n\0\0\12\2\377\200\0\100' | seed picture wbmp
