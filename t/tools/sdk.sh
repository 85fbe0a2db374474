#!/bin/bash
#
# Installs the official clients the tests use, once per lock file, into
# build/sdk.  Without the network the tests that need them skip.

set -euo pipefail

cd "$(dirname "$0")/../.."
[ -f t/90-sdk/package-lock.json ] || exit 0

want=$(cat t/90-sdk/package.json t/90-sdk/package-lock.json | sha256sum)
if [ "$want" = "$(cat build/sdk/.installed 2> /dev/null)" ]; then
    exit 0
fi

rm -rf build/sdk
mkdir -p build/sdk
cp t/90-sdk/package.json t/90-sdk/package-lock.json build/sdk/

if (cd build/sdk && npm ci --no-audit --no-fund --loglevel=error); then
    echo "$want" > build/sdk/.installed
else
    rm -rf build/sdk/node_modules
    echo "npm ci failed: the tests with official clients are skipped"
fi
