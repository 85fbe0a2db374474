#!/bin/bash
#
# Installs the module where the nginx of the distribution looks for it:
# t/tools/install.sh [DESTDIR].  Enabling it is left to the operator.

set -euo pipefail

cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin
dest=${1-}
name=ngx_http_llm_gateway_module

modules=$(nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
modules=${modules:-/usr/lib/nginx/modules}
snippet=/usr/share/nginx/modules-available/mod-http-llm-gateway.conf
doc=/usr/share/doc/$name

install -D -m 644 "build/$name.so" "$dest$modules/$name.so"

install -d "$dest${snippet%/*}"
echo "load_module $modules/$name.so;" > "$dest$snippet"
chmod 644 "$dest$snippet"

# as in the sources, so that links from page to page work
install -d "$dest$doc/docs/design" "$dest$doc/conf.d/prompts" \
    "$dest$doc/conf.d/providers"
install -m 644 README.md "$dest$doc/"
install -m 644 docs/*.md "$dest$doc/docs/"
install -m 644 docs/design/*.md "$dest$doc/docs/design/"
install -m 644 conf.d/*.conf "$dest$doc/conf.d/"
install -m 644 conf.d/prompts/* "$dest$doc/conf.d/prompts/"
install -m 644 conf.d/providers/* "$dest$doc/conf.d/providers/"

echo "installed $dest$modules/$name.so"
echo "examples in $dest$doc/conf.d"
echo "enable it: ln -s $snippet" \
     "/etc/nginx/modules-enabled/50-mod-http-llm-gateway.conf"
