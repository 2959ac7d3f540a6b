#!/usr/bin/env bash
# Builds Cumulet if need be and starts a cluster: load balancer, autoscaler and servers.
# Takes what `cumulet up` takes; --help says what that is.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { printf '%s\n' "$*" >&2; }

# The command that installs a package here.
how_to_install() {
    if command -v brew >/dev/null; then
        printf 'brew install %s' "$1"
    elif command -v apt-get >/dev/null; then
        printf 'sudo apt-get install %s' "$1"
    elif command -v dnf >/dev/null; then
        printf 'sudo dnf install %s' "$1"
    else
        printf "install %s with the system's package manager" "$1"
    fi
}

if ! command -v cargo >/dev/null && [ -r "$HOME/.cargo/env" ]; then
    # Installed, but this shell was started before that.
    # shellcheck source=/dev/null
    . "$HOME/.cargo/env"
fi
if ! command -v cargo >/dev/null; then
    say "Cumulet is written in Rust, and cargo, which builds it, is not installed."
    say "Install it as https://rustup.rs says, open a new terminal, and start this script again:"
    say "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    exit 1
fi

features=()
if ! command -v "${CC:-cc}" >/dev/null; then
    features=(--no-default-features)
    say "There is no C compiler, so JPEG files will differ in bytes from those of existing" \
        "services, and Rust may lack its linker: $(how_to_install gcc)"
elif [ "$(uname -m)" = x86_64 ] && ! command -v nasm >/dev/null; then
    say "There is no nasm, so JPEG files are read and written at about half speed:" \
        "$(how_to_install nasm)"
fi

program=$repository/target/release/cumulet
quiet=()
if [ -x "$program" ] && [ -z "$(cd "$repository" && find Cargo.* src -newer "$program")" ]; then
    quiet=(--quiet) # nothing to do, and nothing to say
else
    say "Building Cumulet; the first time, this takes some minutes."
fi
# An empty array is an error to "set -u" in the bash of macOS, hence the "+".
if ! cargo build --release --locked ${features[@]+"${features[@]}"} ${quiet[@]+"${quiet[@]}"} \
    --manifest-path "$repository/Cargo.toml" --target-dir "$repository/target"; then
    say "Cumulet could not be built. If the compiler is too old: rustup update"
    exit 1
fi

# Started from elsewhere, the cluster still keeps its state in the repository's folder.
if [ "$PWD" != "$repository" ]; then
    export CUMULET_STATE="${CUMULET_STATE:-$repository/state}"
fi
exec "$program" up "$@"
