# llm_request_buffering off: what a client sends is with the provider before the
# client has sent the rest, and whoever stops first ends it for both.

use lib 't/lib';
use Test::LLM;

use Digest::SHA qw(sha256_hex);

my $ca = Test::LLM::Tls->new;
my $up = Test::LLM::Upstream->new;
my $tls = Test::LLM::Upstream->new(tls => $ca->cert('localhost', 'DNS:localhost', 'IP:127.0.0.1'));
my $closed = silent_port();
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, TLS => $tls->port, CA => $ca->file, CLOSED => $closed },
    env => { KEY_A => 'sk-alpha-00001' }, conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$uri|$status|$llm_status_class|$llm_error|$llm_attempts|$llm_key|$request_length';
    access_log %%DIR%%/llm.log llm;
    llm_provider a    { base_url http://127.0.0.1:%%UP%%/a; key env:KEY_A name=one; breaker failures=2 open=20s; }
    llm_provider far  { base_url https://127.0.0.1:%%TLS%%/far; ssl_trusted_certificate %%CA%%; ssl_name localhost; }
    llm_provider down { base_url http://127.0.0.1:%%CLOSED%%/v1; }
    llm_provider hurry { base_url http://127.0.0.1:%%UP%%/hurry; timeout total=150ms; }
    llm_provider idle { base_url http://127.0.0.1:%%UP%%/idle; timeout idle=100ms; }
    llm_provider canned { dialect mock; }
    llm_request_buffering off;
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_H2%% http2;
        client_body_buffer_size 4k;
        client_max_body_size 8m;
        location /a/     { llm_endpoint passthrough; llm_pass a; }
        location /far/   { llm_endpoint passthrough; llm_pass far; }
        location /down/  { llm_endpoint passthrough; llm_pass down a; }
        location /hurry/ { llm_endpoint passthrough; llm_pass hurry; }
        location /idle/  { llm_endpoint passthrough; llm_pass idle; }
        location /mock/  { llm_endpoint passthrough; llm_pass canned; }
        location /slow/  { llm_endpoint passthrough; client_body_timeout 100ms; llm_pass a; }
        location /small/ { llm_endpoint passthrough; client_max_body_size 1k; llm_pass a; }
        location /lim/   { llm_endpoint passthrough; llm_limit 1r/h; llm_pass a; }
        location /on/    { llm_endpoint passthrough; llm_request_buffering on; llm_pass a; }
        location /v1/    { llm_pass a; }
        location /health { llm_health; }
    }
EOC

sub last_one { my ($u) = @_; return (($u || $up)->received)[-1] // {} }
sub begin { my ($path, $body, %o) = @_; $_->forget for $up, $tls; return $gw->request(POST => $path, { 'Content-Type' => 'audio/wav' }, $body, keep => 1, %o) }
# bytes of the body that the provider has, with n of them
sub comes { my ($n, $u) = @_; return (last_one($u)->{len} // -1) == $n }
sub raw { $_->forget for $up, $tls; return $gw->request(POST => '/', {}, undef, raw => $_[0]) }
sub logged { my ($path) = @_; return wait_for(sub { (reverse grep { /^\Q$path\E\|/ } split /\n/, $gw->access('llm.log'))[0] }) }
sub seen { my ($name) = @_; my ($p) = grep { $_->{name} eq $name } @{ $gw->get('/health')->json->{providers} }; return $p }
sub head_of { my ($body, %o) = @_; return length(Test::LLM::Client::_request(method => 'POST', path => $o{path}, keep => 1, headers => { 'Content-Type' => 'audio/wav' }, body => $body)) - length $body }

my $body = join '', map { chr(33 + $_ % 90) } 1 .. 20_000;
$up->on('/*' => reply(200, { 'Content-Type' => 'application/json' }, '{"text":"hello"}'));
$tls->on('/*' => reply(200, { 'Content-Type' => 'application/json' }, '{"text":"hello"}'));

# ---- as it comes --------------------------------------------------------------------------

for my $case ([ 'plain', '/a/x', $up ], [ 'TLS', '/far/x', $tls ]) {
    my ($what, $path, $u) = @$case;

    my $c = begin($path, $body, hold => head_of($body, path => $path) + 10);
    Test::LLM::Client::run(5, $c, sub { comes(10, $u) });
    is(last_one($u)->{body}, substr($body, 0, 10), "$what: ten bytes are there before the rest is sent");
    is(last_one($u)->{h}{'content-length'}, length $body, '... of an announced length');
    $c->send_rest(9_000);
    Test::LLM::Client::run(5, $c, sub { comes(9_010, $u) });
    is(last_one($u)->{len}, 9_010, '... then more');
    $c->send_rest;
    run_all(5, $c);
    is($c->status . $c->body, '200{"text":"hello"}', '... then all, and the answer');
    is(last_one($u)->{sha256}, sha256_hex($body), '... of the same bytes');

    $c = raw("POST $path HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    Test::LLM::Client::run(5, $c, sub { comes(3, $u) });
    is(last_one($u)->{body}, 'abc', "$what: a chunk is there before the next");
    is(last_one($u)->{h}{'transfer-encoding'}, 'chunked', '... of an unknown length');
    is(last_one($u)->{h}{'content-length'}, undef, '... and no other');
    for my $more ("d", 'e' x 9_000) {
        my $n = last_one($u)->{len} + length $more;
        $c->send_raw(sprintf "%x\r\n%s\r\n", length $more, $more);
        Test::LLM::Client::run(5, $c, sub { comes($n, $u) });
        is(last_one($u)->{len}, $n, '... one more');
    }
    $c->send_raw("0\r\n\r\n");
    run_all(5, $c);
    is($c->status, 200, '... the last one ends it');
    is(last_one($u)->{sha256}, sha256_hex('abcd' . 'e' x 9_000), '... with what was sent');
}

like(logged('/a/x'), qr/^\/a\/x\|200\|ok\|-\|1\|one\|/, 'a request like any other in the log');
my $r = $gw->http(POST => '/a/x', {}, 'small');
is(last_one()->{key}, 'sk-alpha-00001', 'the key of the provider');
is(last_one()->{body} . $r->status, 'small200', 'what comes at once');
is($gw->http(GET => '/a/x')->status, 200, 'no body');
is(last_one()->{h}{'transfer-encoding'}, undef, '... and none is announced');
$r = $gw->request(POST => '/a/x', {}, '', chunked => 1);
run_all(5, $r);
is(last_one()->{len} . $r->status, '0200', 'an empty one in chunks');
my $n = 200_000;
$up->forget;
$r = $gw->http(POST => '/a/x', {}, 'y' x $n);
is(last_one()->{len}, $n, '200 kB');
$up->forget;
my $c = begin('/mock/v1/chat/completions', '{"messages":[],"model":"x"}', hold => head_of('{"messages":[],"model":"x"}', path => '/mock/v1/chat/completions') + 5);
$c->send_rest;
run_all(5, $c);
is($c->status, 200, 'a canned answer');

# HTTP/2, where no length is told
sub http2 {
    my $pid = open my $in, '|-', 'curl', '-s', '--http2-prior-knowledge', '--max-time', 20, '-o', $gw->dir . '/h2.out', '-w', '%{stderr}', '-X', 'POST', '-H', 'Expect:', '-T', '-',
        'http://127.0.0.1:' . $gw->port('H2') . '/a/h2' or die $!;
    $in->autoflush(1);
    return ($pid, $in);
}
$up->forget;
my ($pid, $in) = http2();
print $in 'abc';
ok(wait_for(sub { comes(3) }), 'HTTP/2: three bytes are there before the end');
print $in 'd' x 9_000;
ok(wait_for(sub { comes(9_003) }), '... and more');
close $in;
is($?, 0, '... curl is content');
is(last_one()->{sha256}, sha256_hex('abc' . 'd' x 9_000), '... all of it came');
like(logged('/a/h2'), qr/\|200\|ok\|/, '... and was answered');
$up->forget;
($pid, $in) = http2();
print $in 'abc';
wait_for(sub { comes(3) });
kill 'KILL', $pid;
close $in;
ok(wait_for(sub { (grep { $_->{closed} } $up->connections)[0] }), 'HTTP/2: a client that is killed: the provider hears of it');
ok(!last_one()->{done}, '... before the end');
ok(wait_for(sub { $gw->access('llm.log') =~ m{^/a/h2\|\d+\|client_gone\|}m }), '... nobody else is to blame');

# ---- elsewhere it is collected --------------------------------------------------------------

$up->on('/a/chat/completions' => ok_chat('hello'));
for my $path ('/on/x', '/v1/chat/completions') {
    my $json = '{"model":"m","messages":[]}';
    $c = begin($path, $json, hold => head_of($json, path => $path) + 5);
    Test::LLM::Client::run(0.1, $c, sub { $up->count });
    is($up->count, 0, "$path: nothing before the end");
    $c->abort;
    $c = begin($path, $json);
    run_all(5, $c);
    is($up->count, 1, '... then it is sent');
}

# ---- the client stops -----------------------------------------------------------------------

for my $how ('', 'hard') {
    $c = begin('/a/gone', $body, hold => head_of($body, path => '/a/gone') + 10);
    Test::LLM::Client::run(5, $c, sub { comes(10) });
    my $conn = last_one()->{conn};
    $c->abort($how);
    ok(wait_for(sub { (grep { $_->{id} eq $conn } $up->connections)[0]{closed} }), 'a client that goes away: the provider hears of it' . ($how && ', hard'));
    like(logged('/a/gone'), qr/\|client_gone\|/, '... and is not to blame');
    ok(!last_one()->{done}, '... for a body that was never whole');
    is(seen('a')->{inflight}, 0, '... nothing is held');
}
$c = begin('/slow/x', $body, hold => head_of($body, path => '/slow/x') + 10);
run_all(5, $c);
is($c->status . $c->error, '0closed', 'a client that stops: it is left after client_body_timeout, without a word as by nginx');
like(logged('/slow/x'), qr/\|408\|client_gone\|caller_timeout\|/, '... its own fault');
$c = raw("POST /a/bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
Test::LLM::Client::run(5, $c, sub { comes(3) });
$c->send_raw("what?\r\n");
run_all(5, $c);
is($c->status . $c->header('x-llm-error'), '400caller_bad_request', 'no chunk: refused');
$c = raw("POST /small/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
Test::LLM::Client::run(5, $c, sub { comes(3) });
$c->send_raw(sprintf "%x\r\nx", 2000);
run_all(5, $c);
is($c->status . $c->header('x-llm-error'), '413caller_too_large', 'too much of it: refused');
ok(!last_one()->{done}, '... and nothing that looks whole');
is($gw->http(POST => '/a/x', {}, 'z')->status, 200, 'the provider serves on');

# ---- the provider stops -----------------------------------------------------------------------

# an answer before the end of the body, which is then of no use
for my $then ([], [ 'fin' ], [ 'rst' ]) {
    $up->on('/a/early' => [ 'early', [ status => 413 ], [ json => '{"error":{"message":"too long"}}' ], @$then ]);
    $c = begin('/a/early', 'b' x $n, hold => head_of('b' x $n, path => '/a/early') + 10);
    Test::LLM::Client::run(5, $c, sub { $c->complete });
    my $what = 'an early refusal' . (@$then ? ", then $then->[0]" : '');
    if ("@$then" eq 'rst') {
        like($c->status, qr/^(?:413|502)$/, "$what: an answer of some kind");
    } else {
        is($c->status . $c->body, '413{"error":{"message":"too long"}}', "$what: it passes");
    }
    is($c->header('connection'), 'close', '... and ends the connection');
    $c->send_rest;
    run_all(5, $c);
    is($gw->http(POST => '/a/x', {}, 'z')->status, 200, '... the next request is well');
}
$up->on('/a/flood' => [ 'early', [ status => 400 ], [ json => '{}' ], 'fin' ]);
$c = begin('/a/flood', 'b' x (3 << 20));
Test::LLM::Client::run(5, $c);
is($c->status, 400, 'a refusal while all of it is on its way');

# an answer that begins before the end of the body, and goes on behind it
$up->on('/a/both' => [ 'early', [ status => 200 ], 'begin', [ chunk => 'one ' ], [ barrier => 'rest' ], [ chunk => 'two' ], 'end' ]);
$c = begin('/a/both', $body, hold => head_of($body, path => '/a/both') + 10);
Test::LLM::Client::run(5, $c, sub { ($c->body // '') =~ /one/ });
is($c->body, 'one ', 'an answer that begins early');
$c->send_rest;
Test::LLM::Client::run(5, $c, sub { comes(length $body) });
is(last_one()->{len}, length $body, '... the body goes on');
$up->release('rest');
run_all(5, $c);
is($c->body . $c->complete, 'one two1', '... and so does the answer');

for my $end ('fin', 'rst') {
    $up->on('/a/broken' => [ 'early', $end ]);
    $c = begin('/a/broken', $body, hold => head_of($body, path => '/a/broken') + 10);
    run_all(5, $c);
    is($c->status . $c->header('x-llm-error'), '502provider_unreachable', "a provider that hangs up ($end): an error");
    is($c->header('x-llm-attempts'), 1, '... of one attempt');
    is($c->json->{error}{code}, 'provider_unreachable', '... in JSON');
}
is(seen('a')->{breaker}, 'open', '... which the breaker hears of');

$c = begin('/down/x', $body, hold => head_of($body, path => '/down/x') + 10);
run_all(5, $c);
is($c->status . $c->header('x-llm-attempts'), '5021', 'nobody there: nobody else is asked');
$up->on('/hurry/*' => [ 'early', 'hang' ]);
$c = begin('/hurry/x', $body, hold => head_of($body, path => '/hurry/x') + 10);
run_all(5, $c);
is($c->status, 504, 'total is for the whole of it');
$up->on('/idle/*' => [ 'early', 'stop-reading', 'hang' ]);
$c = begin('/idle/x', 'b' x (7 << 20));
Test::LLM::Client::run(5, $c);
is($c->status, 504, 'a provider that reads no more: idle');
like(logged('/idle/x'), qr/\|timeout/, '... in the log');

# ---- limits -----------------------------------------------------------------------------------

is($gw->http(POST => '/lim/x', {}, 'z')->status, 200, 'a limit counts it');
$c = begin('/lim/x', $body, hold => head_of($body, path => '/lim/x') + 10);
run_all(5, $c);
is($c->status . $c->header('x-llm-error'), '429policy_rate_limited', '... and refuses the next before it is sent');

finish();
