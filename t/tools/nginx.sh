#!/bin/bash
#
# Builds an nginx that finds memory errors, and runs tests with it.
#
#   t/tools/nginx.sh FLAVOUR             build it below build/FLAVOUR
#   t/tools/nginx.sh FLAVOUR COMMAND ..  run the command against it
#
# asan: ASan and UBSan.  valgrind: a debug build to run under valgrind.  In both
# every pool allocation is a malloc, or overruns inside a pool would stay
# unseen.  other: a plain build, for other versions of nginx.
#
# The source is Debian's own package (nginx-dev has headers only), fetched with
# private package lists, so that the system's stay as they are; NGINX_SOURCE=DIR
# takes an unpacked source tree instead.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
flavour=$1
shift
out=$top/build/$flavour
logs=$out/logs.$$

# The core is compiled without the two checks that nginx itself does not pass
# (memcpy of nothing from NULL, unaligned compares); src/core and src/dialect
# get them in the unit tests.
case $flavour in
asan)
    cc_opt="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined
        -fno-sanitize=nonnull-attribute,alignment -fno-sanitize-recover=all
        -DNGX_DEBUG_PALLOC=1"
    # stays loaded to the end, or reports of leaks could not name functions
    ld_opt="-fsanitize=address,undefined -Wl,-z,nodelete"
    ;;
valgrind)
    cc_opt="-g -O1 -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1"
    ld_opt=
    ;;
other)
    cc_opt="-g -O2"
    ld_opt=
    ;;
*)
    echo "usage: $0 asan|valgrind|other [COMMAND ...]" >&2
    exit 2
    ;;
esac
cc_opt=$(echo $cc_opt)


# apt_source TOOL ARGUMENTS: apt-get or apt-cache with source packages, and
# with lists and caches of its own.
apt_source()
{
    local apt=$top/build/apt tool=$1 sources f
    shift
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"

    for f in /etc/apt/sources.list.d/*.sources; do
        [ -f "$f" ] && sed 's/^Types:.*/Types: deb-src/' "$f" && echo
    done > "$apt/src.sources"

    sources=$apt/src.sources
    if [ ! -s "$sources" ]; then
        sources=$apt/src.list
        sed -n 's/^deb /deb-src /p' /etc/apt/sources.list > "$sources"
    fi

    "$tool" -qq -o Dir::Etc::sourcelist="$sources" \
        -o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt/lists" \
        -o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}


# The revision that is installed, or another one of the same version: archives
# drop a revision when a security update takes its place.
debian_source()
{
    local version

    version=$(dpkg-query -W -f '${source:Version}' nginx)
    apt_source apt-get update
    apt_source apt-get source "nginx=$version" && return

    for version in $(apt_source apt-cache showsrc nginx |
                     sed -n "s/^Version: \(${version%-*}-.*\)/\1/p")
    do
        echo "trying nginx $version instead" >&2
        apt_source apt-get source "nginx=$version" && return
    done

    return 1
}


source_tree()
{
    local version tree

    if [ -n "${NGINX_SOURCE-}" ]; then
        echo "$NGINX_SOURCE"
        return
    fi

    version=$(dpkg-query -W -f '${source:Upstream-Version}' nginx)
    tree=$top/build/src/nginx-$version

    if [ ! -f "$tree/src/core/nginx.c" ]; then
        rm -rf "$top/build/src"
        mkdir -p "$top/build/src"
        echo "fetching the source package of nginx" >&2
        (cd "$top/build/src" && debian_source) >&2
    fi

    echo "$tree"
}


build()
{
    local tree want configure keep=() f

    mkdir -p "$out"

    # one build at a time: parallel calls wait for each other
    exec 9> "$out/.lock"
    flock 9

    tree=$(source_tree)
    want="$tree $cc_opt $ld_opt $(cat "$top/config"; cd "$top"
                    find src -name '*.[ch]' | LC_ALL=C sort)"

    . /usr/share/nginx/src/conf_flags
    for f in "${NGX_CONF_FLAGS[@]}"; do
        case $f in *-path=*|--prefix=*) ;; *) keep+=("$f") ;; esac
    done

    cd "$tree"
    configure=./configure
    [ -x "$configure" ] || configure=auto/configure
    if [ ! -f "$out/Makefile" ] || [ "$want" != "$(cat "$out/.want" 2>&1)" ]
    then
        "$configure" "${keep[@]}" --with-poll_module --prefix="$out/prefix" \
            --builddir="$out" --with-cc-opt="$cc_opt" \
            --with-ld-opt="$ld_opt" --add-dynamic-module="$top" \
            > "$out/configure.log" 2>&1 \
        || { tail -20 "$out/configure.log" >&2; exit 1; }
        echo "$want" > "$out/.want"
    fi

    make -s -j"$(nproc)" -f "$out/Makefile" binary modules 9>&-
    echo "built $out/nginx"
}


# A report that ended up in a file of its own fails the run, whatever the
# tests thought of it.
run()
{
    local code=0

    mkdir -p "$logs"
    chmod 777 "$logs"

    export LLM_NGINX=$out/nginx
    export LLM_MODULE=$out/ngx_http_llm_gateway_module.so

    case $flavour in
    asan)
        export LLM_TEST_SLOW=${LLM_TEST_SLOW:-3}
        export ASAN_OPTIONS=detect_odr_violation=0
        ASAN_OPTIONS+=:detect_stack_use_after_return=1:log_path=$logs/asan
        export UBSAN_OPTIONS=print_stacktrace=1
        export LSAN_OPTIONS=suppressions=$top/t/shim/lsan.supp
        LSAN_OPTIONS+=:print_suppressions=0
        ;;
    valgrind)
        export LLM_TEST_SLOW=${LLM_TEST_SLOW:-15}
        export LLM_VALGRIND="valgrind -q --leak-check=full
            --suppressions=$top/t/shim/vg.supp --show-leak-kinds=definite
            --errors-for-leak-kinds=definite --error-exitcode=99
            --log-file=$logs/vg.%p"
        LLM_VALGRIND=$(echo $LLM_VALGRIND)
        ;;
    esac

    cd "$top"
    "$@" || code=$?

    find "$logs" -type f -size 0 -delete
    if [ -n "$(ls "$logs")" ]; then
        echo "reports of $flavour in $logs:" >&2
        head -30 "$logs"/* >&2
        exit 1
    fi

    rmdir "$logs"
    exit $code
}


if [ $# = 0 ]; then
    build
else
    run "$@"
fi
