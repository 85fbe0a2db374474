#!/bin/bash
#
# Fuzzes the parsers with libFuzzer: t/tools/fuzz.sh fuzz_json fuzz_sse ...
#
# Each target runs FUZZ_SECONDS (20) on its corpus in t/fuzz/corpus; what it
# learns is kept in build/fuzz, and an input that breaks it stays there as
# crash-...: put it into the corpus together with the fix.

set -euo pipefail

cd "$(dirname "$0")/../.."
seconds=${FUZZ_SECONDS:-20}
failed=
mkdir -p build/fuzz

flags="-g -O1 -std=gnu11 -fno-sanitize-recover=all -Isrc/core -Isrc/dialect
    -It/00-unit"
flags=$(echo $flags)

# The sources are compiled once for all targets.
rm -rf build/fuzz/obj
mkdir -p build/fuzz/obj
ls src/core/*.c src/dialect/*.c | xargs -P "$(nproc)" -I{} sh -c \
    "clang $flags -fsanitize=fuzzer-no-link,address,undefined -c \
         -o build/fuzz/obj/\$(basename {} .c).o {}"

for target in "$@"; do
    name=${target#fuzz_}
    seed=t/fuzz/corpus/$name
    learned=build/fuzz/$name
    mkdir -p "$learned"
    [ -d "$seed" ] || seed=

    clang $flags -fsanitize=fuzzer,address,undefined \
        -o "build/fuzz/$target" "t/fuzz/$target.c" build/fuzz/obj/*.o \
        -lcjson -lpcre2-8 -lm

    echo "$target: $seconds s"
    if ! "build/fuzz/$target" -max_total_time="$seconds" -timeout=5 \
             -rss_limit_mb=1024 -print_final_stats=1 \
             -artifact_prefix="build/fuzz/$name-" "$learned" $seed \
             > "build/fuzz/$target.log" 2>&1
    then
        failed="$failed $target"
        tail -40 "build/fuzz/$target.log"
    fi
    grep -h 'number_of_executed_units\|average_exec' \
        "build/fuzz/$target.log" || :
done

[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
echo "fuzz: ok"
