#!/bin/bash
#
# Installs the Debian packages that are missing, and nothing else.
#
#   t/tools/deps.sh run                what building and running needs
#   t/tools/deps.sh test [COMMAND ..]  also what the tests need, and packages
#                                      that provide these commands
#
# Prints the apt-get line before it runs it.  Needs root or sudo only when a
# package is missing; without either it prints the line and exits 1.

set -euo pipefail

run_packages="nginx nginx-dev gcc make libc6-dev libcurl4-openssl-dev
    libcjson-dev libhiredis-dev libpcre2-dev libssl-dev zlib1g-dev tzdata curl
    ca-certificates"
test_packages="perl libio-socket-ssl-perl openssl redis-server pmccabe"
test_commands="node:nodejs npm:npm"

policy=/usr/sbin/policy-rc.d


installed()
{
    [ "$(dpkg-query -W -f '${Status}' "$1" 2> /dev/null)" \
        = "install ok installed" ]
}


# A command that is there is left alone, whichever package it came from.
missing()
{
    local p

    for p in $packages; do
        installed "$p" || echo "$p"
    done

    for p in $commands; do
        command -v "${p%%:*}" > /dev/null || echo "${p##*:}"
    done
}


# Package lists may be absent (a container) although the packages exist.
lists_known()
{
    local p

    for p in "$@"; do
        apt-cache show "$p" > /dev/null 2>&1 || return 1
    done
}


# Debian starts services at once when it installs them.  For the time of the
# install our policy says no to the two we bring in; an existing policy is
# asked about all others and put back afterwards.
hold_services()
{
    if [ -e $policy ]; then
        mv $policy $policy.llm-saved
    fi

    cat > $policy << END
#!/bin/sh
case "\$1" in nginx|nginx.*|redis-server|redis-server.*) exit 101 ;; esac
[ ! -x $policy.llm-saved ] || exec $policy.llm-saved "\$@"
exit 0
END
    chmod 755 $policy
}


release_services()
{
    rm -f $policy

    if [ -e $policy.llm-saved ]; then
        mv $policy.llm-saved $policy
    fi
}


# Runs as root.  A service that we brought in stays disabled, or the next boot
# would start it; one that was there before is left as it is.
install_as_root()
{
    local update=$1 s fresh=
    shift

    for s in nginx redis-server; do
        case " $* " in *" $s "*) fresh="$fresh $s" ;; esac
    done

    export DEBIAN_FRONTEND=noninteractive
    trap release_services EXIT
    trap 'exit 130' INT TERM
    hold_services

    if [ "$update" = update ]; then
        apt-get update
    fi

    apt-get install -y --no-install-recommends "$@" \
    || { echo "trying again with fresh package lists"
         apt-get update && apt-get install -y --no-install-recommends "$@"; }

    for s in $fresh; do
        if update-rc.d "$s" disable > /dev/null 2>&1; then
            echo "the service $s of Debian is installed but not started or" \
                 "enabled (to have it: systemctl enable --now $s)"
        fi
    done
}


if [ "${1-}" = --install ]; then
    shift
    install_as_root "$@"
    exit 0
fi

packages=$run_packages
commands=

if [ "${1-}" = test ]; then
    shift
    packages="$packages $test_packages"
    commands="$test_commands"

    for c in "$@"; do
        commands="$commands $c:$c"

        # its sanitizers and its fuzzer are a package of their own
        [ "$c" != clang ] || packages="$packages libclang-rt-dev"
    done
fi

need=$(missing | tr '\n' ' ')
[ -n "$need" ] || exit 0

if ! command -v apt-get > /dev/null; then
    echo "this needs Debian 12 (or these packages by other means): $need" >&2
    exit 1
fi

install="apt-get install -y --no-install-recommends ${need% }"
update=keep
line=$install
sudo_line="sudo $install"

if ! lists_known $need; then
    update=update
    line="apt-get update && $install"
    sudo_line="sudo apt-get update && sudo $install"
fi

if [ "$(id -u)" = 0 ]; then
    echo "$line"
    exec "$0" --install $update $need
fi

if command -v sudo > /dev/null; then
    echo "$sudo_line"
    sudo "$0" --install $update $need && exit 0
fi

echo "packages are missing, and neither root nor sudo is at hand;" \
     "run as root, then try again:" >&2
echo "    $line" >&2
exit 1
