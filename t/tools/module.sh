#!/bin/bash
#
# Builds the module: t/tools/module.sh OUT [CC_OPT [LD_OPT]]
#
# Works against the distribution's nginx-dev, or against an nginx source tree
# named by NGINX_SRC.  Everything is written below OUT.  It configures again
# only when the list of files, `config` or the options change, and compiles
# only what changed.  One build at a time: parallel calls wait for each other.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
name=ngx_http_llm_gateway_module.so
src=${NGINX_SRC:-/usr/share/nginx/src}
mkdir -p "$1"
out=$(cd "$1" && pwd)
cc_opt=${2-}
ld_opt=${3-}

case $top in
*[[:space:]]*)
    echo "nginx cannot be built in a folder with white space: $top" >&2
    exit 1
    ;;
esac

if [ ! -d "$src/auto" ]; then
    echo "no nginx sources in $src: install nginx-dev (\"make deps\")," \
         "or set NGINX_SRC" >&2
    exit 1
fi

exec 9>"$out/.lock"
flock 9

if [ -f "$src/conf_flags" ]; then
    . "$src/conf_flags"
else
    NGX_CONF_FLAGS=(--with-compat --with-debug --with-threads
                    --with-http_ssl_module --with-http_v2_module)
fi

if [ -z "$cc_opt" ] && command -v dpkg-buildflags > /dev/null; then
    cc_opt="$(cd "$top" && dpkg-buildflags --get CFLAGS) -fPIC -DNDEBUG \
$(dpkg-buildflags --get CPPFLAGS)"
    ld_opt="$(dpkg-buildflags --get LDFLAGS) -fPIC"
fi

configure=./configure
[ -x "$src/configure" ] || configure=auto/configure

want=$(echo "$src" "${NGX_CONF_FLAGS[@]}" "$cc_opt" "$ld_opt";
       cat "$top/config"; stat -c '%y' "$src/auto" "$src/src/core/nginx.h";
       cd "$top"; find src -name '*.[ch]' | LC_ALL=C sort)

if [ ! -f "$out/Makefile" ] || [ "$want" != "$(cat "$out/.want" 2>&1)" ]; then
    rm -f "$out/Makefile" "$out/.want"

    (cd "$src" && $configure --with-cc-opt="$cc_opt" --with-ld-opt="$ld_opt" \
        "${NGX_CONF_FLAGS[@]}" --add-dynamic-module="$top" \
        --builddir="$out") > "$out/configure.log" 2>&1 \
    || { tail -20 "$out/configure.log" >&2
         rm -f "$out/Makefile"
         echo "configure failed, see $out/configure.log" >&2
         exit 1; }

    echo "$want" > "$out/.want"
fi

quiet=-s
[ -z "${V-}" ] || quiet=

make $quiet -k -j"$(nproc)" -f "$out/Makefile" -C "$src" modules 9>&-

[ -f "$out/$name" ]
