#!/usr/bin/env bash
# Checks everything: formatting, lints, documentation, tests (end-to-end ones too) and scripts.
# Installs the tools that the tests need, where it may. Stops at the first failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export INSTA_UPDATE=no # a snapshot that differs is a failure, and nothing else

say() { printf '%s\n' "$*"; }

fail() {
    say "FAILED: $*" >&2
    exit 1
}

# step HEADLINE COMMAND...: runs the command and says how long it took.
steps=0
step() {
    local headline=$1 started=$SECONDS
    shift
    say "== $headline"
    "$@" </dev/null || fail "$headline (after $((SECONDS - started)) s)"
    say "   $((SECONDS - started)) s"
    steps=$((steps + 1))
}

# Installs a package without asking anybody anything; fails if that cannot be done.
install_package() {
    if command -v apt-get >/dev/null; then
        local as_root=()
        if [ "$(id -u)" -ne 0 ]; then
            sudo -n true 2>/dev/null || return 1
            as_root=(sudo -n)
        fi
        export DEBIAN_FRONTEND=noninteractive
        ${as_root[@]+"${as_root[@]}"} apt-get -q -y install "$1" >/dev/null 2>&1 && return
        # The lists of packages may be missing or old.
        ${as_root[@]+"${as_root[@]}"} apt-get -q update >/dev/null 2>&1
        ${as_root[@]+"${as_root[@]}"} apt-get -q -y install "$1" >/dev/null 2>&1
    elif command -v brew >/dev/null; then
        brew install --quiet "$1" >/dev/null 2>&1
    else
        return 1
    fi
}

# Makes sure that a command is there: provide COMMAND APT_PACKAGE BREW_PACKAGE
provide() {
    local package=$2
    command -v apt-get >/dev/null || package=$3
    command -v "$1" >/dev/null && return
    say "   $1 is missing: installing $package"
    install_package "$package" && command -v "$1" >/dev/null
}

tools() {
    local tool missing=''
    provide xmllint libxml2-utils libxml2 || missing="$missing xmllint (package libxml2-utils)"
    for tool in tmux curl; do
        provide "$tool" "$tool" "$tool" || missing="$missing $tool"
    done
    if [ -n "$missing" ]; then
        say "The tests need tools that could not be installed; please install:$missing"
        return 1
    fi
    provide shellcheck shellcheck shellcheck ||
        say "   Without shellcheck the scripts stay unchecked; please install it."
    provide promtool prometheus prometheus ||
        say "   Without promtool the alert rules stay untried; please install it."
    if [ "$(uname -m)" = x86_64 ]; then
        provide nasm nasm nasm ||
            say "   Without nasm JPEG files take twice as long; please install it."
    fi
}

rust_tools() {
    if ! cargo --version; then
        say "Please install Rust as https://rustup.rs says."
        return 1
    fi
    if ! cargo fmt --version || ! cargo clippy --version; then
        say "Please run: rustup component add rustfmt clippy"
        return 1
    fi
}

documentation() {
    RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps
}

tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked && cargo test --locked --doc
    else
        cargo test --locked
    fi
}

formatting() {
    cargo fmt --check && cargo fmt --check --manifest-path fuzz/Cargo.toml
}

# Prints the command of a browser that starts, if there is one.
browser() {
    local name
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        # Where Chromium comes by other ways, its package holds a command that only says so.
        if [ -n "$name" ] && "$name" --version >/dev/null 2>&1; then
            printf '%s' "$name"
            return
        fi
    done
    return 1
}

page() {
    local found
    found=$(browser) || provide chromium chromium chromium || true
    if [ -z "$found" ] && ! found=$(browser); then
        say "   skipped: Chromium could not be installed; please install it."
        return
    fi
    CHROMIUM=$found cargo test --locked --test vm_server page -- --ignored
}

# Feeds each parser and decoder made-up inputs for a while: fuzz/README.md.
fuzzing() {
    local host target sanitizer=none
    if ! provide c++ g++ gcc; then
        say "   skipped: fuzzing needs a C++ compiler; please install one."
        return
    fi
    if ! cargo fuzz --version >/dev/null 2>&1; then
        say "   cargo-fuzz is missing: installing it"
        if ! cargo install --quiet --locked cargo-fuzz; then
            say "   skipped: cargo-fuzz could not be installed; please run: cargo install cargo-fuzz"
            return
        fi
    fi
    host=$(rustc --version --verbose | sed -n 's/^host: //p')
    # Only on Linux do C code and Rust code share one sanitizer.
    case $host in *-linux-gnu) sanitizer=address ;; esac
    fuzz/seeds.sh || return
    for target in $(cargo fuzz list); do
        say "   $target"
        # Coverage counters are an unstable option, which a stable compiler takes only so. Leaks are
        # looked for by a debugger's means, which containers may forbid.
        RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=detect_leaks=0 \
            cargo fuzz run --target "$host" --sanitizer "$sanitizer" "$target" -- \
            -max_total_time="${FUZZ_SECONDS:-15}" -timeout=20 -rss_limit_mb=2048 \
            -malloc_limit_mb=100 -max_len=40000 -verbosity=0 || return
    done
}

scripts() {
    if command -v shellcheck >/dev/null; then
        shellcheck --external-sources ./*.sh examples/*.sh workloads/*.sh benches/proxies/*.sh fuzz/*.sh .ci/run
    else
        say "   skipped: shellcheck is not installed"
    fi
}

# Tries the alert rules out on made-up histories.
alert_rules() {
    if ! command -v promtool >/dev/null; then
        say "   skipped: promtool is not installed"
        return
    fi
    promtool check config docs/prometheus/prometheus.yml &&
        promtool test rules docs/prometheus/alerts.test.yml
}

step "Rust" rust_tools
step "Tools" tools
step "Scripts" scripts
step "Alert rules" alert_rules
step "Formatting" formatting
step "Lints" cargo clippy --locked --all-targets -- -D warnings
step "Without a C compiler" cargo check --locked --all-targets --no-default-features
step "Documentation" documentation
step "Tests" tests
step "The page in a browser" page
step "Fuzzing" fuzzing
say "PASSED: $steps steps in $SECONDS s"
