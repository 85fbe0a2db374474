# Clients of streams that go on with another answer: slow ones, those that go
# away, HTTP/2, deadlines, reloads, connections that are kept.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:8m;
    log_format llm '$status|$llm_attempts|$llm_resumes|$llm_status_class|$llm_error';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; breaker off; timeout idle=2s; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; timeout idle=2s; }
    llm_provider t { dialect openai; base_url http://127.0.0.1:%%UP%%/t/v1; breaker off; timeout total=300ms; }
    llm_model ma { provider a; id m-a; }
    llm_model mt { provider t; id m-t; }
    llm_model mp { provider b; id m-p; can chat stream prefill; }
    llm_route ab { target ma; target mp; resume on max=4m; }
    llm_route tb { target mt; target mp on=timeout; resume on; }
    server {
        listen 127.0.0.1:%%PORT%% sndbuf=32k;
        listen 127.0.0.1:%%PORT_H2%% http2;
        llm_retry 1 backoff=1ms..2ms budget=1000%;
        location /ab/ { llm_pass ab; }
        location /tb/ { llm_pass tb; }
        location /deadline/ { llm_retry 1 deadline=400ms; llm_pass ab; }
        location /backoff/ { llm_retry 1 backoff=20s..30s budget=1000%; llm_pass ab; }
        location /impatient/ { send_timeout 300ms; llm_pass ab; }
        location = /up { return 204; }
    }
EOC

my $true = JSON::PP::true();
my $path = 'v1/chat/completions';
my $body = chat_body('m', stream => $true);
my $asked = 0;

sub begin { my ($p, %o) = @_; $asked++; my ($c) = start_all($gw, [ POST => "/$p/$path", {}, $body, %o ]); return $c }
sub events { Test::LLM::Sse::events($_[0]) }
# of long streams as well
sub text { my $s = ref $_[0] ? $_[0]->body : $_[0]; return join '', $s =~ /"content":"([^"]*)"/g }
sub logged {
    my @l;
    wait_for(sub { @l = split /\n/, $gw->access('llm.log'); @l >= $asked }, 5);
    return $l[-1];
}

sub cut {
    my ($parts, @how) = @_;
    my $s = ok_stream($parts, finish => undef, done => 0);
    return [ @$s, map { ref $_ ? $_ : [ $_ ] } @how ];
}

sub answers {
    my ($a, $b) = @_;
    $up->close_all;
    $up->reset;
    $up->on('/a/*' => $a);
    $up->on('/t/*' => $a);
    $up->on('/b/*' => $b);
}

# Buffers of the sockets are small: what the client does not read blocks us soon.

# ---- a slow client -------------------------------------------------------------

my $half = join ' ', 1 .. 20_000;
my $rest = join ' ', 200_000 .. 212_000;
answers(cut([ unpack '(a4000)*', $half ], 'fin'), ok_stream([ unpack '(a4000)*', $rest ]));

my $c = begin("ab", rcvbuf => 16384);
$c->deaf;
run_all(0.3, $c);
delete $c->{error};
my ($worker) = $gw->workers;
$c->deaf(0);
run_all(20, $c);
ok(text($c) eq "$half$rest", 'a slow client gets everything, once and in order');
like($c->body, qr/data: \[DONE\]\n\n$/, '... to its end');
is(logged(), '200|2|1|ok|-', '... in the log');
my $req = from_json(($up->received('/b/*'))[0]{body});
ok($req->{messages}[-1]{content} eq $half, '... the other was given all of the half');

# one that takes nothing at all is cut off; more than the buffers of any kernel
answers(cut([ unpack '(a4000)*', $half x 8 ], [ pause => 30 ], 'rst'), ok_stream([ 'x' ]));
$c = begin('impatient', rcvbuf => 16384);
$c->deaf;
run_all(0.1, $c);
delete $c->{error};
like(logged(), qr/^200\|1\|0\|client_gone\|/, 'a client that takes nothing');
ok(wait_for(sub { !grep { !$_->{closed} } $up->connections }, 3), '... the connection of the provider closes');

# ---- a client that goes away -------------------------------------------------------

my @cut = ([ 'One', ' two' ], [ pause => 20 ], 'rst');

for my $how ('', 'hard') {
    my $kind = $how ? 'reset' : 'close';

    answers(cut(@cut), [ 'hang' ]);
    $c = begin('ab');
    run_all(2, $c, sub { $up->count('/b/*') });
    $c->abort($how);
    is(logged(), '200|2|0|client_gone|-', "$kind: while another one is asked");
    ok(wait_for(sub { !grep { !$_->{closed} } $up->connections }, 3), '... whose connection closes');

    answers(cut(@cut), cut([ ' three' ], 'hang'));
    $c = begin('ab');
    run_all(2, $c, sub { text($c) =~ /three/ });
    $c->abort($how);
    like(logged(), qr/^200\|2\|1\|client_gone\|-$/, "$kind: while it goes on");
    ok(wait_for(sub { !grep { !$_->{closed} } $up->connections }, 3), '... its connection closes');

    # a backoff is random, down to nothing; this is not
    answers(cut(@cut), reply(500, { 'Retry-After' => 15 }, '{"error":{"message":"x"}}'));
    $c = begin('backoff');
    run_all(2, $c, sub { $up->count('/b/*') });
    run_all(0.05, $c);
    $c->abort($how);
    like(logged(), qr/^200\|2\|0\|client_gone\|-$/, "$kind: while a retry is waited for");
    is($up->count('/b/*'), 1, '... that never comes');
}

# ---- time ----------------------------------------------------------------------------

answers(cut(@cut), cut([ ' three' ], 'hang'));
my $r = $gw->http(POST => "/deadline/$path", {}, $body);
$asked++;
is(text($r), 'One two three', 'a deadline while it goes on: what came');
is(Test::LLM::Sse::error(events($r))->{code}, 'gateway_deadline', '... an error event');
is(logged(), '200|2|1|cut|gateway_deadline', '... in the log');

answers(cut(@cut), [ 'hang' ]);
$r = $gw->http(POST => "/deadline/$path", {}, $body);
$asked++;
is(text($r), 'One two', 'a deadline while another one is asked');
is(Test::LLM::Sse::error(events($r))->{code}, 'gateway_deadline', '... an error event');

answers(cut([ 'One', map { (' two', [ pause => 100 ]) } 1 .. 20 ]), ok_stream([ ' end' ]));
$r = $gw->http(POST => "/tb/$path", {}, $body);
$asked++;
like(text($r), qr/^One(?: two)+ end$/, 'the time of the first is up: another goes on');
is(logged(), '200|2|1|ok|-', '... in the log');

# ---- connections ------------------------------------------------------------------------

answers(cut(@cut), ok_stream([ ' three' ]));
$gw->http(POST => "/ab/$path", {}, $body) for 1 .. 3;
$asked += 3;
my %conn = map { $_->{conn} => 1 } $up->received('/b/*');
is(keys %conn, 1, 'who goes on keeps its connection');

$c = begin('ab', keep => 1);
$c->{keep_open} = 1;
run_all(3, $c);
ok($c->complete, 'the answer has an end of its own');
is($c->header('connection'), 'keep-alive', '... and the connection of the client is kept');
my ($again) = start_all($gw, [ POST => "/ab/$path", {}, $body, sock => $c->{sock} ]);
$asked++;
run_all(3, $again);
is(text($again), 'One two three', '... for the next request');

# ---- HTTP/2 --------------------------------------------------------------------------------

SKIP: {
    my ($curl) = grep { -x } map { "$_/curl" } split /:/, $ENV{PATH};
    skip('no curl that speaks HTTP/2', 6) if !$curl || `$curl --version` !~ /\bHTTP2\b/;

    my $h2 = sub {
        $asked++;
        open my $p, '-|', $curl, '-s', '--http2-prior-knowledge', '--max-time', 20, @_,
            'http://127.0.0.1:' . $gw->port('H2') . "/ab/$path" or die $!;
        local $/;
        return readline($p) // '';
    };

    my $out = $h2->('-d', $body);
    is(text($out), 'One two three', 'HTTP/2: one answer');
    ok(Test::LLM::Sse::done(events($out)), '... to its end');
    is(logged(), '200|2|1|ok|-', '... in the log');

    answers(cut(@cut), cut([ 'x' ], 'end'));
    $out = $h2->('-d', $body);
    ok(Test::LLM::Sse::error(events($out)), 'HTTP/2: an error event when nobody is left');

    answers(cut([ unpack '(a4000)*', $half ], 'fin'), ok_stream([ unpack '(a4000)*', $rest ]));
    $out = $h2->('-d', $body, '--limit-rate', '2M');
    ok(text($out) eq "$half$rest", 'HTTP/2: a slow client gets everything');

    answers(cut(@cut), cut([ ' three' ], 'hang'));
    $h2->('-d', $body, '--max-time', '0.4');
    like(logged(), qr/\|2\|1\|client_gone\|/, 'HTTP/2: a client that goes away');
    ok(wait_for(sub { !grep { !$_->{closed} } $up->connections }, 3), '... the connection of the provider closes');
}

# ---- reload ----------------------------------------------------------------------------------

answers(cut(@cut), [ @{ cut([ ' three' ]) }, [ barrier => 'go' ], [ event => '{"choices":[{"index":0,"delta":{"content":" four"},"finish_reason":"stop"}]}' ] ]);
$c = begin('ab');
run_all(2, $c, sub { text($c) =~ /three/ });
$gw->reload;
$up->release('go');
run_all(5, $c);
is(text($c), 'One two three four', 'a reload while it goes on');
ok(wait_for(sub { !grep { $_ == $worker } $gw->workers }, 5), '... after which the old worker is gone');

finish();
