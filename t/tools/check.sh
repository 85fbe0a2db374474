#!/bin/bash
#
# Style and purity of the sources (t/00-unit/check.t): prints every finding and
# exits 1 when there was one.  Quick enough to run before every commit.

set -uo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top" || exit 1

export LC_ALL=C.UTF-8

strict="-std=c11 -O2 -Wall -Wextra -Wconversion -Wshadow -Wmissing-prototypes
    -Wvla -Werror -Isrc/core -Isrc/dialect"
function_lines=70
complexity=30
file_lines=700
bad=0

pure=$(find src/core src/dialect -name '*.[ch]' | sort)
sources=$(find src t -name '*.[ch]' -not -path '*/node_modules/*' | sort)


# finding TITLE: reads findings, one a line; any line is one too many.
finding()
{
    local text

    text=$(cat)
    [ -n "$text" ] || return 0

    printf '%s:\n' "$1"
    printf '%s\n' "$text" | sed 's/^/    /'
    bad=1
}


finding "core and dialect must not know nginx" \
    < <(grep -nE 'ngx_|<ngx' $pure /dev/null)

finding "nginx's headers come first, or the system's are other ones" \
    < <(for f in $(find src -name 'ngx_*.c'); do
            case $(grep -m1 '^#include' "$f") in *ngx_*) ;; *) echo "$f" ;; esac
        done)

finding "core must not allocate, do I/O or ask the clock" \
    < <(grep -nE '\b(malloc|calloc|realloc|free|fopen|open|read|write|printf|time|gettimeofday|clock_gettime|rand|random)\(' \
            src/core/*.c /dev/null)

finding "longer than 80 columns" \
    < <(grep -nE '^.{81,}' $sources /dev/null | cut -c1-100)

finding "a tab, or white space at the end" \
    < <(grep -nP '\t|\s+$' $sources /dev/null | cut -c1-100)

finding "left-over words" \
    < <(grep -nwE 'TODO|FIXME|XXX|HACK' $sources /dev/null)

finding "a file opens with a comment that says what it is" \
    < <(for f in $sources; do
            case $(grep -m1 . "$f") in '/*'*) ;; *) echo "$f" ;; esac
        done)

finding "more than $file_lines lines" \
    < <(wc -l $(find src -name '*.[ch]') \
        | awk -v max=$file_lines '$2 != "total" && $1 > max')

if command -v pmccabe > /dev/null; then
    finding "a function over $function_lines lines or complexity $complexity" \
        < <(pmccabe $(find src -name '*.c') /dev/null 2> /dev/null \
            | awk -F'\t' -v l=$function_lines -v c=$complexity \
                  '$5 > l || $1 > c { print $5 " lines, complexity " $1 ": " $6 }')
else
    echo "note: without pmccabe the size of functions is not checked"
fi

mkdir -p build/check
finding "strict warnings" \
    < <(for f in $(find src/core src/dialect -name '*.c' | sort); do
            echo "$f"
        done | xargs -r -P 2 -I{} sh -c \
            'o=build/check/$(basename {}).o
             if [ -z "$(find src/core src/dialect {} -newer $o 2>&1)" ]; then
                 exit 0
             fi
             gcc '"$(echo $strict)"' -c -o $o {} 2>&1 || rm -f $o')

# Modules are opened with global symbol visibility: what we export could take
# the place of somebody else's function.
so=build/ngx_http_llm_gateway_module.so
if [ -f $so ]; then
    finding "exported symbols that are not the module's" \
        < <(nm -D --defined-only $so | awk '{ print $3 }' \
            | grep -vE '^ngx_(http_llm_|modules?$|module_names$|module_order$)')
fi

finding "shell syntax" \
    < <(for f in t/tools/*.sh t/bench/*.sh .ci/run; do
            [ ! -f "$f" ] || bash -n "$f" 2>&1
        done)

if [ $bad = 0 ]; then
    echo "check: ok"
fi

exit $bad
