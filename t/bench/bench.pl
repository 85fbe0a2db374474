#!/usr/bin/perl

# The budgets, measured: our locations against two identical proxy_pass +
# keepalive locations, interleaved, the same bodies, one pinned worker.
#
# The gateway's worker has the first core; wrk and the providers (an nginx that
# returns canned answers, and sse_server for streams) share the second.  What is
# printed are ratios against the mean of the two proxy_pass locations; a row is
# void where those two differ by more than 5 %.  ROUNDS (5) and
# SECONDS_PER_ROUND (2) make it longer and steadier; ROWS picks rows by name.

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time usleep);

my $top = abs_path(dirname(__FILE__) . '/../..');
my $dir = "$top/build/bench";
my $rounds = $ENV{ROUNDS} || 5;
my $seconds = $ENV{SECONDS_PER_ROUND} || 2;
my $module = $ENV{LLM_MODULE} || "$top/build/ngx_http_llm_gateway_module.so";
my $events = 50;
my $void = 0.05;

my ($api, $sse, $messages, $redis) = free_ports(4);
my (@pids, $port, $worker, $failed);            # port, worker: of the gateway

$ENV{PATH} .= ':/usr/sbin:/sbin';
remove_tree("$dir/run");
make_path(map { "$dir/run/$_" } qw(api gw policy redis lua));

END { my $code = $?; kill 'TERM', $_ for @pids; $? = $code }
$SIG{INT} = $SIG{TERM} = sub { exit 1 };


# bodies -----------------------------------------------------------------------

sub words {
    my ($bytes) = @_;
    my $text = '';
    my $n = 0;
    $text .= 'The note number ' . $n++ . ' says that nothing changed. '
        while length $text < $bytes;
    return substr $text, 0, $bytes;
}

sub chat {
    my ($bytes, $stream) = @_;
    my $head = '{"model":"bench","temperature":0.2,'
        . ($stream ? '"stream":true,' : '') . '"messages":['
        . '{"role":"system","content":"You are brief."},'
        . '{"role":"user","content":"';
    return $head . words($bytes - length($head) - 4) . '"}]}';
}

sub lua {
    my ($name, $body, %headers) = @_;
    my $more = join '', map { qq(wrk.headers["$_"] = "$headers{$_}"\n) }
        sort keys %headers;
    my $file = "$dir/run/lua/$name.lua";
    write_file("$dir/run/lua/$name.json", $body);
    write_file($file, <<"EOL");
local f = io.open("$dir/run/lua/$name.json", "rb")
wrk.method = "POST"
wrk.body = f:read("*a")
wrk.headers["Content-Type"] = "application/json"
${more}f:close()
EOL
    return $file;
}


# servers ----------------------------------------------------------------------

my $answer = '{"id":"chatcmpl-bench","object":"chat.completion",'
    . '"created":1790000000,"model":"bench-1","choices":[{"index":0,'
    . '"message":{"role":"assistant","content":"Nothing changed."},'
    . '"finish_reason":"stop"}],"usage":{"prompt_tokens":420,'
    . '"completion_tokens":4,"total_tokens":424,'
    . '"prompt_tokens_details":{"cached_tokens":0}}}';

my $message = '{"id":"msg_bench","type":"message","role":"assistant",'
    . '"model":"bench-1","content":[{"type":"text",'
    . '"text":"Nothing changed."}],"stop_reason":"end_turn",'
    . '"stop_sequence":null,"usage":{"input_tokens":420,'
    . '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
    . '"output_tokens":4,"service_tier":"standard"}}';

my $refusal = '{"error":{"message":"Slow down","type":"requests",'
    . '"param":null,"code":"rate_limit_exceeded"}}';

sub temp_paths {
    join '', map { "${_}_temp_path tmp_$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);
}

sub common {
    my ($core) = @_;
    my $mask = $core == 0 ? '01' : '10';
    my $user = $> == 0 ? 'user root;' : '';
    return "$user\nworker_processes 1;\nworker_cpu_affinity $mask;\n"
        . "daemon off;\npid nginx.pid;\nerror_log error.log error;\n"
        . "worker_rlimit_nofile 10000;\n"
        . "events { worker_connections 4096; }\n";
}

sub start_api {
    write_file("$dir/run/api/nginx.conf", common(1) . <<"EOC");
http {
    access_log off;
    keepalive_requests 100000000;
    client_max_body_size 0;
    client_body_buffer_size 8m;
    @{[ temp_paths() ]}
    server {
        listen 127.0.0.1:$api;
        default_type application/json;
        location / { return 200 '$answer'; }
        location /anthropic/ { return 200 '$message'; }
        location /busy/ {
            return 429 '$refusal';
        }

        # "return" does not wait for the request's body; this does
        location /eat/ {
            proxy_pass http://127.0.0.1:$api/;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }
        location /eat/anthropic/ {
            proxy_pass http://127.0.0.1:$api/anthropic/;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }
    }
}
EOC
    spawn('nginx', '-p', "$dir/run/api/", '-c', "$dir/run/api/nginx.conf",
          '-e', "$dir/run/api/error.log");
    spawn('taskset', '-c', last_core(), "$dir/sse_server", $sse, $events);
    spawn('taskset', '-c', last_core(), "$dir/sse_server", $messages, $events,
          'messages');
    wait_port($_) for $api, $sse, $messages;
}

sub proxied {
    my ($path, $upstream, $prefix) = @_;
    $prefix //= '';
    return "location = $path { proxy_pass http://$upstream$prefix"
        . "/v1/chat/completions; }\n";
}

# A gateway with more lines for its http block and its server; it is the one
# that is measured from now on.
sub start_gateway {
    my ($name, $http, $server) = @_;
    my $at = "$dir/run/$name";

    ($port) = free_ports(1);
    write_file("$at/nginx.conf", "load_module $module;\n"
               . common(0) . <<"EOC");
env BENCH_KEY_1=sk-bench-key-1;
env BENCH_KEY_2=sk-bench-key-2;
http {
    access_log off;
    keepalive_requests 100000000;
    client_max_body_size 0;
    client_body_buffer_size 8m;
    @{[ temp_paths() ]}

    upstream api { server 127.0.0.1:$api; keepalive 128; keepalive_requests 100000000; }
    upstream sse { server 127.0.0.1:$sse; keepalive 128; keepalive_requests 100000000; }

    llm_zone gateway:32m;
    llm_key_pool bench {
        select round_robin;
        key env:BENCH_KEY_1;
        key env:BENCH_KEY_2;
    }
    llm_provider api  { dialect openai; base_url http://127.0.0.1:$api/v1; keys bench; keepalive 128; }
    llm_provider sse  { dialect openai; base_url http://127.0.0.1:$sse/v1; keys bench; keepalive 128; }
    llm_provider busy { dialect openai; base_url http://127.0.0.1:$api/busy/v1; breaker off; keepalive 128; }
    llm_model bench-chat { provider api;  id bench-1;  price input=0.59 output=0.79; }
    llm_model bench-sse  { provider sse;  id bench-1;  price input=0.59 output=0.79; }
    llm_provider hub  { dialect anthropic; base_url http://127.0.0.1:$api/anthropic; keys bench; keepalive 128; }
    llm_provider hubs { dialect anthropic; base_url http://127.0.0.1:$messages; keys bench; keepalive 128; }
    llm_model bench-hub  { provider hub;  id bench-1;  price input=0.59 output=0.79; }
    llm_model bench-hubs { provider hubs; id bench-1;  price input=0.59 output=0.79; }
    llm_model bench-busy { provider busy; id bench-1; }
    llm_provider eat  { dialect openai; base_url http://127.0.0.1:$api/eat/v1; keys bench; keepalive 128; }
    llm_provider eats { dialect anthropic; base_url http://127.0.0.1:$api/eat/anthropic; keys bench; keepalive 128; }
    llm_model bench-bigs { provider eats; id bench-1;  price input=0.59 output=0.79; }
    llm_model bench-big  { provider eat;  id bench-1;  price input=0.59 output=0.79; }
    llm_split four {
        sticky  \$http_x_user \$connection;
        variant a bench-chat 40%;
        variant b bench-chat 30%;
        variant c bench-chat 20%;
        variant d bench-chat 10%;
    }
    $http

    server {
        listen 127.0.0.1:$port;

        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;

        @{[ proxied('/a', 'api'), proxied('/b', 'api'),
            proxied('/sse_a', 'sse'), proxied('/sse_b', 'sse'),
            proxied('/big_a', 'api', '/eat'), proxied('/big_b', 'api', '/eat') ]}

        location = /llm/v1/chat/completions  { llm_pass bench-chat; }
        location = /same/v1/chat/completions { llm_pass bench-chat; }
        location = /four/v1/chat/completions { llm_pass four; }
        location = /sse/v1/chat/completions  { llm_pass bench-sse; }
        location = /big/v1/chat/completions  { llm_pass bench-big; }
        location = /bigs/v1/chat/completions { llm_pass bench-bigs; }
        location = /other                    { return 204; }
        location = /hub/v1/chat/completions  { llm_pass bench-hub; }
        location = /hubs/v1/chat/completions { llm_pass bench-hubs; }
        location = /next/v1/chat/completions { llm_retry off; llm_pass bench-busy bench-chat; }
        $server
    }
}
EOC
    local $ENV{BENCH_KEY_1} = 'sk-bench-key-1';
    local $ENV{BENCH_KEY_2} = 'sk-bench-key-2';
    my $master = spawn('nginx', '-p', "$at/", '-c', "$at/nginx.conf",
                       '-e', "$at/error.log");
    wait_port($port);
    ($worker) = split ' ', read_file("/proc/$master/task/$master/children");
}

# One node of several, whose clients have keys, limits and a budget: Redis is
# there and is talked to.
my $secret = 'sk-llm-bench0000000000000000000000000000000000';

sub start_policy {
    spawn('taskset', '-c', last_core(), 'redis-server', '--bind', '127.0.0.1',
          '--port', $redis, '--dir', "$dir/run/redis", '--save', '',
          '--logfile', "$dir/run/redis/redis.log");
    wait_port($redis);
    write_file("$dir/run/policy/clients.json", '{"clients":[{"id":"bench",'
        . '"user":"u","org":"o","key_sha256":"' . sha256_hex($secret) . '"}]}');
    start_gateway('policy', <<"EOC", <<"EOS");
    llm_redis 127.0.0.1:$redis;
    llm_clients file:$dir/run/policy/clients.json;
EOC
        location = /policy/v1/chat/completions {
            llm_auth on;
            llm_limit per=client 1000000000r/m 100000000000t/m;
            llm_budget per=org 1000000usd/d;
            llm_pass bench-chat;
        }
EOS
}


# one measurement --------------------------------------------------------------

# CPU of the worker in microseconds: exact from the scheduler where the kernel
# tells, else utime + stime in clock ticks.
sub worker_cpu {
    my $sched = eval { read_file("/proc/$worker/schedstat") } || '';
    return (split ' ', $sched)[0] / 1000 if $sched =~ /^[1-9]/;

    my $stat = read_file("/proc/$worker/stat");
    $stat =~ s/.*\) //s;
    my @f = split ' ', $stat;
    return ($f[11] + $f[12]) * 1e6 / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

sub wrk {
    my ($path, $lua, $connections) = @_;

    my $cpu = worker_cpu();
    my $began = time;
    my $out = join '', capture('taskset', '-c', last_core(), 'wrk', '-t1',
        "-c$connections", "-d${seconds}s", '--latency', '--timeout', '10s',
        '-s', $lua, "http://127.0.0.1:$port$path");
    my $took = time - $began;
    $cpu = worker_cpu() - $cpu;

    my ($n) = $out =~ /(\d+) requests in/ or die "wrk: $out";
    if ($out =~ /(Non-2xx.*|Socket errors.*)/) {
        print "    $path: $1\n";
        $failed = 1;
    }
    return { rps => $n / $took, cpu => $n ? $cpu / $n : 0,
             p50 => micros($out, 50), p99 => micros($out, 99) };
}

sub micros {
    my ($out, $p) = @_;
    my ($v, $unit) = $out =~ /^\s+$p(?:\.\d+)?%\s+([\d.]+)(us|ms|s)\s*$/m
        or return 0;
    return $v * { us => 1, ms => 1e3, s => 1e6 }->{$unit};
}

# All paths of a row in turn, ROUNDS times; the median of each figure.
sub measure {
    my ($lua, $connections, @paths) = @_;
    my %all;

    for my $round (0 .. $rounds) {
        for my $path (@paths) {
            my $m = wrk($path, $lua, $connections);
            next if $round == 0 && $rounds > 1;         # warm-up
            push @{ $all{$path}{$_} }, $m->{$_} for keys %$m;
        }
    }

    my %median;
    for my $path (@paths) {
        $median{$path}{$_} = median(@{ $all{$path}{$_} })
            for keys %{ $all{$path} };
    }
    return map { $median{$_} } @paths;
}


# How long another connection waits, in ms, while one sends such requests: the
# longest of each round, the median of the rounds.
sub longest_wait {
    my ($path, $lua) = @_;
    my @longest;

    for (1 .. $rounds) {
        my $load = spawn_quiet('taskset', '-c', last_core(), 'wrk', '-t1',
            '-c1', "-d${seconds}s", '-s', $lua, "http://127.0.0.1:$port$path");
        my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or die $!;
        my ($longest, $end) = (0, time + $seconds);

        while ((my $began = time) < $end) {
            syswrite $s, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n" or die $!;
            sysread $s, my $answer, 4096 or die "no answer\n";
            my $took = time - $began;
            $longest = $took if $took > $longest;
            usleep(200);
        }
        push @longest, $longest * 1000;
        waitpid $load, 0;
    }

    return median(@longest);
}


# rows -------------------------------------------------------------------------

sub ratio_row {
    my ($title, $a, $b, $ours, $least, $most) = @_;

    my %r;
    for my $k (qw(rps cpu)) {
        my $mean = ($a->{$k} + $b->{$k}) / 2;
        $r{$k} = $ours->{$k} / $mean;
        $r{"${k}_off"} = abs($a->{$k} - $b->{$k}) / $mean;
    }

    printf "%-34s throughput %.3f (>= %.2f)%s   CPU %.3f%s%s\n", $title,
        $r{rps}, $least, mark($r{rps_off}, $r{rps} >= $least),
        $r{cpu}, $most ? sprintf(' (<= %.2f)', $most) : '',
        $most ? mark($r{cpu_off}, $r{cpu} <= $most) : '';
    printf "    proxy_pass %.0f and %.0f/s, ours %.0f/s; CPU %.1f and %.1f, "
        . "ours %.1f us/request\n", (map { $_->{rps} } $a, $b, $ours),
        map { $_->{cpu} } $a, $b, $ours;
}

sub mark {
    my ($off, $good) = @_;
    return sprintf ' void: controls differ by %.1f %%', $off * 100
        if $off > $void;
    return $good ? ' ok' : ' MISSED';
}

my %row = (
    chat => sub {
        my ($a, $ours, $next, $b) = measure(lua('chat', chat(2048)), 32,
            '/a', '/llm/v1/chat/completions', '/next/v1/chat/completions',
            '/b');
        ratio_row('2 KB chat', $a, $b, $ours, 0.93, 1.08);
        ratio_row('  after one failed attempt', $a, $b, $next, 0.58);
    },
    sse => sub {
        my ($a, $ours, $b) = measure(lua('sse', chat(2048, 1)), 32,
            '/sse_a', '/sse/v1/chat/completions', '/sse_b');
        ratio_row("SSE, $events events", $a, $b, $ours, 0.93, 1.08);
    },
    hub => sub {
        my ($a, $ours, $b) = measure(lua('chat', chat(2048)), 32,
            '/a', '/hub/v1/chat/completions', '/b');
        ratio_row('2 KB chat, translated', $a, $b, $ours, 0.70);
    },
    hub_sse => sub {
        my ($a, $ours, $b) = measure(lua('sse', chat(2048, 1)), 32,
            '/sse_a', '/hubs/v1/chat/completions', '/sse_b');
        ratio_row("SSE, $events events, translated", $a, $b, $ours, 0.60);
    },
    latency => sub {
        my ($a, $ours, $b) = measure(lua('chat', chat(2048)), 1,
            '/a', '/llm/v1/chat/completions', '/b');
        my %d = map { $_ => $ours->{$_} - ($a->{$_} + $b->{$_}) / 2 }
            qw(p50 p99);
        my %most = (p50 => 10, p99 => 50);
        printf "%-34s", 'added latency, one connection';
        for my $k (qw(p50 p99)) {
            my $off = abs $a->{$k} - $b->{$k};
            printf ' %s %+.0f us (<= %d) %s ', $k, $d{$k}, $most{$k},
                $off > $most{$k} ? "void: controls differ by $off us"
                : $d{$k} <= $most{$k} ? 'ok' : 'MISSED';
        }
        print "\n";
        printf "    proxy_pass p50 %.0f and %.0f, ours %.0f us; "
            . "p99 %.0f and %.0f, ours %.0f us\n",
            map { my $k = $_; map { $_->{$k} } $a, $b, $ours } qw(p50 p99);
    },
    split => sub {
        my ($a, $ours, $b) = measure(lua('chat', chat(2048)), 32,
            '/llm/v1/chat/completions', '/four/v1/chat/completions',
            '/same/v1/chat/completions');
        my $mean = ($a->{cpu} + $b->{cpu}) / 2;
        my $off = abs($a->{cpu} - $b->{cpu}) / $mean;
        my $extra = $ours->{cpu} - $mean;
        printf "%-34s extra CPU %+.2f us (<= 1.00)%s   throughput %.3f\n",
            'four variants, or none', $extra, mark($off, $extra <= 1),
            2 * $ours->{rps} / ($a->{rps} + $b->{rps});
        printf "    without %.0f and %.0f/s, with %.0f/s; CPU %.2f and %.2f, "
            . "with %.2f us/request\n", (map { $_->{rps} } $a, $b, $ours),
            map { $_->{cpu} } $a, $b, $ours;
    },
    stall => sub {
        my $lua = lua('big', chat(5 << 20));
        my $a = longest_wait('/big_a', $lua);
        my $ours = longest_wait('/bigs/v1/chat/completions', $lua);
        printf "%-34s another connection waits %.1f ms (<= 20)%s\n",
            '5 MB chat, translated', $ours, $ours <= 20 ? ' ok' : ' MISSED';
        printf "    beside proxy_pass %.1f ms: the longest of each round\n", $a;
    },
    policy => sub {
        my @was = ($port, $worker);
        start_policy();
        my ($a, $plain, $ours, $b) = measure(lua('policy', chat(2048),
            Authorization => "Bearer $secret"), 32, '/a',
            '/llm/v1/chat/completions', '/policy/v1/chat/completions', '/b');
        ratio_row('2 KB chat, key, 2 limits, a budget', $a, $b, $ours, 0.90,
            1.12);
        printf "    the plain chat %.0f/s, %.1f us; with all of it %+.2f us, "
            . "throughput %.3f\n", $plain->{rps}, $plain->{cpu},
            $ours->{cpu} - $plain->{cpu}, $ours->{rps} / $plain->{rps};
        ($port, $worker) = @was;
    },
    big => sub {
        my ($a, $ours, $b) = measure(lua('big', chat(5 << 20)), 1,
            '/big_a', '/big/v1/chat/completions', '/big_b');
        my $extra = ($ours->{cpu} - ($a->{cpu} + $b->{cpu}) / 2) / 1000;
        my $off = abs($a->{cpu} - $b->{cpu}) / ($a->{cpu} + $b->{cpu}) * 2;
        printf "%-34s extra CPU %.2f ms (<= 1.30)%s\n", '5 MB chat, other model',
            $extra, mark($off, $extra <= 1.3);
        printf "    CPU proxy_pass %.2f and %.2f, ours %.2f ms/request\n",
            map { $_->{cpu} / 1000 } $a, $b, $ours;
    },
);


# tools ------------------------------------------------------------------------

sub last_core {
    my $n = () = read_file('/proc/cpuinfo') =~ /^processor/mg;
    return $n > 1 ? 1 : 0;
}

sub median {
    my @v = sort { $a <=> $b } @_;
    return @v % 2 ? $v[$#v / 2] : ($v[@v / 2 - 1] + $v[@v / 2]) / 2;
}

sub free_ports {
    my ($n) = @_;
    my @s = map { IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                      LocalPort => 0, Listen => 1) or die $! } 1 .. $n;
    return map { $_->sockport } @s;
}

sub wait_port {
    my ($p) = @_;
    for (1 .. 200) {
        return if IO::Socket::INET->new(PeerAddr => "127.0.0.1:$p");
        usleep(20_000);
    }
    die "nothing listens on $p, see $dir/run/*/error.log\n";
}

sub spawn {
    my @command = @_;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        exec @command or POSIX::_exit(127);
    }
    push @pids, $pid;
    return $pid;
}

sub spawn_quiet {
    my @command = @_;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', '/dev/null' or POSIX::_exit(127);
        exec @command or POSIX::_exit(127);
    }
    return $pid;
}

sub capture {
    open my $fh, '-|', @_ or die "$_[0]: $!";
    return <$fh>;
}

sub read_file {
    my ($name) = @_;
    open my $fh, '<', $name or die "$name: $!";
    local $/;
    return <$fh>;
}

sub write_file {
    my ($name, $text) = @_;
    open my $fh, '>', $name or die "$name: $!";
    print $fh $text;
    close $fh or die "$name: $!";
}


system('gcc', '-O2', '-o', "$dir/sse_server", "$top/t/bench/sse_server.c") == 0
    or die "sse_server does not compile\n";
start_api();
start_gateway('gw', '', '');

printf "%d rounds of %g s each; medians; load now %s", $rounds, $seconds,
    read_file('/proc/loadavg');
$row{$_}->() for $ENV{ROWS} ? split(/[ ,]+/, $ENV{ROWS})
                            : qw(chat sse hub hub_sse latency split big stall policy);

exit($failed ? 1 : 0);
