#!/bin/bash
#
# Starts and stops the demonstration gateway: t/tools/run.sh start PORT | stop
# (RUN_DIR: another prefix than build/run)
#
# Everything it reads and writes at run time is below build/: the module, a
# prefix build/run with its own configuration (made from conf.d/quickstart.conf),
# logs and temporary files.  The provider is the built-in mock, so neither a
# key nor the network is needed.

set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
run=${RUN_DIR:-$top/build/run}
PATH=$PATH:/usr/sbin:/sbin


# The master's pid, when it is alive and really ours.
running_pid()
{
    local pid

    pid=$(cat "$run/nginx.pid" 2> /dev/null) || return 1
    [ -n "$pid" ] || return 1
    tr '\0' ' ' 2> /dev/null < "/proc/$pid/cmdline" | grep -qF -- "$run" \
        || return 1
    echo "$pid"
}


stop()
{
    local pid i

    pid=$(running_pid) || return 0

    if ! kill -QUIT "$pid" 2> /dev/null; then
        echo "cannot stop process $pid: it was started by another user" >&2
        return 1
    fi

    for i in $(seq 50); do
        running_pid > /dev/null || return 0
        sleep 0.1
    done

    kill -TERM "$pid" 2> /dev/null || :
    sleep 0.5
}


# Workers of a master started by root run as the owner of the clone: that user
# can reach it wherever it is.  Where this is not so, root has to do.
user_line()
{
    local owner group

    [ "$(id -u)" = 0 ] || return 0

    owner=$(stat -c %U "$top")
    group=$(stat -c %G "$top")

    if [ "$owner" != root ]; then
        if getent passwd "$owner" > /dev/null \
           && getent group "$group" > /dev/null \
           && chown "$owner:$group" "$run" "$run"/*/ \
           && setpriv --reuid="$owner" --regid="$group" --clear-groups \
                  test -w "$run/tmp"
        then
            echo "user $owner $group;"
            return
        fi

        echo "note: user $owner cannot work in $run, workers run as root" >&2
    fi

    echo "user root root;"
}


configure()
{
    mkdir -p "$run/conf" "$run/logs" "$run/tmp"
    rm -rf "$run/conf/prompts"
    cp -r "$top/conf.d/prompts" "$run/conf/prompts"
    sed "s/127\.0\.0\.1:8080/127.0.0.1:$port/" "$top/conf.d/quickstart.conf" \
        > "$run/conf/quickstart.conf"

    {
        echo "load_module \"$top/build/ngx_http_llm_gateway_module.so\";"
        user_line
        cat << 'END'
worker_processes  2;
pid        nginx.pid;
error_log  logs/error.log notice;

events {
    worker_connections  1024;
}

http {
    client_body_temp_path  tmp/body;
    proxy_temp_path        tmp/proxy;
    fastcgi_temp_path      tmp/fastcgi;
    uwsgi_temp_path        tmp/uwsgi;
    scgi_temp_path         tmp/scgi;

    log_format  llm  '$remote_addr "$request" $status $request_time '
                     'model=$llm_model provider=$llm_provider '
                     'attempts=$llm_attempts error=$llm_error '
                     'tokens=$llm_input_tokens/$llm_output_tokens';
    access_log  logs/access.log  llm;

    include  quickstart.conf;
}
END
    } > "$run/conf/nginx.conf"
}


taken()
{
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null
}


say_taken()
{
    echo "port $port on 127.0.0.1 is taken by another program;" \
         "choose one: make run PORT=$((port < 65000 ? port + 1 : 8081))" >&2
    exit 1
}


start()
{
    local log=$run/logs/start.log

    case $port in
        ''|*[!0-9]*|??????*) echo "PORT=$port is not a port number" >&2
                             exit 1 ;;
    esac

    stop
    if taken; then
        say_taken
    fi

    configure

    if ! nginx -p "$run/" -c conf/nginx.conf -e "$run/logs/error.log" \
               > "$log" 2>&1
    then
        if grep -q "Address already in use" "$log"; then
            say_taken
        fi

        cat "$log" >&2
        echo "the gateway did not start, see $run/logs/error.log" >&2
        exit 1
    fi
}


# What root built in somebody's clone belongs to that one, who may go on with
# it as himself.
give_back()
{
    local owner

    [ "$(id -u)" = 0 ] || return 0
    owner=$(stat -c %u:%g "$top")
    [ "$owner" = 0:0 ] || chown -R "$owner" "$top/build" "$run"
}


# One exchange: what was sent, the status, our headers, the answer.
ask()
{
    local path=$1 question=$2 head=$run/logs/head.txt body=$run/logs/body.txt
    shift 2

    echo
    echo "--> POST http://127.0.0.1:$port$path"
    echo "$question" | sed 's/^/    /'
    rm -f "$head" "$body"

    if ! curl -sS --noproxy '*' --max-time 30 -D "$head" -o "$body" "$@" \
             "http://127.0.0.1:$port$path"
    then
        echo "no answer, see $run/logs/error.log" >&2
        exit 1
    fi

    tr -d '\r' < "$head" | sed -n -e '1s/^/<-- /p' -e 's/^x-llm-/    &/Ip'
    sed -e 's/^/    /' -e '$a\' "$body"

    if ! head -1 "$head" | grep -q ' 200'; then
        echo "the gateway answered with an error," \
             "see $run/logs/error.log" >&2
        exit 1
    fi
}


case ${1-} in
stop)
    if running_pid > /dev/null; then
        stop
        echo "stopped"
    fi
    ;;

start)
    port=${2:-8080}
    trap give_back EXIT
    start
    echo "the gateway runs on http://127.0.0.1:$port with the mock provider"

    request=$top/t/fixtures/app/analyze.request.json
    audio=$top/t/fixtures/audio/hello.wav

    ask /analyze "$(cat "$request")" \
        -H 'Content-Type: application/json' --data-binary "@$request"
    ask /transcribe "file=${audio#"$top"/} ($(stat -c %s "$audio") bytes)" \
        -F "file=@$audio;type=audio/wav"

    echo
    echo "configuration: ${run#"$top"/}/conf/nginx.conf" \
         "(from conf.d/quickstart.conf), logs: ${run#"$top"/}/logs"
    echo "OpenAI's API:  http://127.0.0.1:$port/v1/ (any model name of" \
         "/v1/models, any key)"
    echo "stop it with:  make stop"
    ;;

*)
    echo "usage: $0 start PORT | stop" >&2
    exit 2
    ;;
esac
