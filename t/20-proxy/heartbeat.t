# llm_heartbeat: clients of streams hear of us while nobody else says a word,
# and get the answer, or the error, that they would have had.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    log_format llm '$request_uri|$status|$llm_attempts|$llm_status_class|$llm_error';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { base_url http://127.0.0.1:%%UP%%/a/v1; breaker off; }
    llm_provider b { base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; }
    llm_provider q { base_url http://127.0.0.1:%%UP%%/q/v1; breaker off; inflight 1 queue=5 wait=5s; }
    llm_provider c { dialect anthropic; base_url http://127.0.0.1:%%UP%%/c; breaker off; }
    llm_model ma { provider a; id m-a; }
    llm_model mb { provider b; id m-b; }
    llm_model mq { provider q; id m-q; }
    llm_model mc { provider c; id claude-sonnet-5; }
    llm_route ab { target ma; target mb; }
    llm_route go-on { target ma; target mb; resume on; }
    llm_heartbeat 100ms;
    server {
        listen 127.0.0.1:%%PORT%% sndbuf=32k;
        listen 127.0.0.1:%%PORT_H2%% http2;
        llm_retry off;
        location /a/     { llm_pass ma; }
        location /b/     { llm_pass mb; }
        location /c/     { llm_pass mc; }
        location /q/     { llm_pass mq; }
        location /ab/    { llm_pass ab; }
        location /go-on/ { llm_pass go-on; }
        location /later/ { llm_retry 2 backoff=300ms..300ms budget=1000%; llm_pass mb; }
        location /short/ { llm_retry off deadline=250ms; llm_pass mb; }
        location /off/   { llm_heartbeat off; llm_pass ma; }
        location /rare/  { llm_heartbeat 10s; llm_pass ma; }
    }
EOC

my $true = JSON::PP::true();
my $beat = ": heartbeat\n\n";
my $ping = qq(event: ping\ndata: {"type": "ping"}\n\n);
my @wait = [ pause => 330 ];
my $message = fixture_text('anthropic/messages.response.json');
my $chat = chat_body('m', stream => $true);
my $ask = to_json({ model => 'm', max_tokens => 9, stream => $true, messages => [ { role => 'user', content => 'Hi' } ] });
my $prompt = to_json({ model => 'm', stream => $true, prompt => 'Hi' });
my $input = to_json({ model => 'm', stream => $true, input => 'Hi' });

sub begin { my ($path, $body, %o) = @_; return $gw->request(POST => $path, {}, $body // $chat, %o) }
sub text { return Test::LLM::Sse::text(Test::LLM::Sse::events($_[0]->body)) }
sub error { return Test::LLM::Sse::error(Test::LLM::Sse::events($_[0]->body)) }
sub beats { my ($c, $what) = @_; $what //= $beat; my $n = () = $c->body =~ /\Q$what\E/g; return $n }
sub logged {
    my ($path) = @_;
    return wait_for(sub { (grep { s/^\Q$path\E\|// } reverse split /\n/, $gw->access('llm.log'))[0] }, 5);
}

# ---- all at once ---------------------------------------------------------------

$up->on('/a/*' => [ @wait, @{ ok_stream([ 'One', @wait, ' two' ]) } ]);
$up->on('/b/*' => [ @wait, @{ reply(503, {}, '{"error":{"message":"busy"}}') } ]);
$up->on('/c/*' => [ @wait, [ 'sse-file', fixture('anthropic/messages.stream.sse') ] ]);
$up->on('/q/*' => [ @wait, @{ ok_stream([ 'Queued' ]) } ]);

my %c = map { my ($name, @how) = @$_; ($name => begin(@how)) }
    [ first => '/a/v1/chat/completions?first' ], [ rare => '/rare/v1/chat/completions' ],
    [ off => '/off/v1/chat/completions' ],
    [ fails => '/b/v1/chat/completions' ], [ messages_fails => '/b/v1/messages', $ask ],
    [ responses_fails => '/b/v1/responses', $input ],
    [ completions_fails => '/b/v1/completions', $prompt ],
    [ messages => '/c/v1/messages', $ask ], [ translated => '/c/v1/chat/completions' ], [ responses => '/c/v1/responses', $input ],
    [ q1 => '/q/v1/chat/completions?1' ], [ q2 => '/q/v1/chat/completions?2' ],
    [ later => '/later/v1/chat/completions' ], [ plain => '/a/v1/chat/completions?plain', chat_body('m') ],
    [ short => '/short/v1/chat/completions' ];
run_all(10, values %c);

my $r = $c{first};
is($r->status, 200, 'before the first event and between two');
like($r->header('content-type'), qr{^text/event-stream}, '... as a stream');
is($r->header('cache-control'), 'no-cache', '... that nobody keeps');
ok($r->header('x-llm-request-id'), '... with its id');
is($r->header('x-llm-provider'), undef, '... of somebody not known yet');
like($r->body, qr/\A(?:\Q$beat\E){2,3}data: .*One.*\n\n(?:\Q$beat\E){2,3}data: .* two.*data: \[DONE\]\n\n\z/s, '... where nothing else came');
is(text($r), 'One two', '... and the whole answer');
ok($r->complete, '... to its end');
is(logged('/a/v1/chat/completions?first'), '200|1|ok|-', '... in the log');

is(beats($c{$_}), 0, "none: $_") for qw(off rare plain);
is(text($c{off}), 'One two', '... where they are off');
is($c{off}->header('x-llm-provider'), 'a', '... with all headers');
is(text($c{rare}), 'One two', '... where it is not time for one');

for my $t ([ fails => $beat, '/b/v1/chat/completions' ], [ messages_fails => $ping, '/b/v1/messages' ],
    [ responses_fails => $beat, '/b/v1/responses' ], [ completions_fails => $beat, '/b/v1/completions' ])
{
    my ($name, $what, $path) = @$t;
    $r = $c{$name};
    cmp_ok(beats($r, $what), '>=', 2, "$name: heartbeats");
    is($r->status, 200, '... behind which the status cannot change');
    like($r->body, qr/overloaded/, '... an error event');
    unlike($r->body, qr/DONE|message_stop|response\.completed/, '... and no end');
    ok(!$r->complete, '... of the body either');
    is(logged($path), '200|1|overloaded|provider_overloaded', '... in the log');
}
like($c{messages_fails}->body, qr/\A(?:\Q$ping\E)+event: error\ndata: /, "... in the form of Messages");
is($up->count('/b/v1/chat/completions'), 2 + 3 + 1, 'nobody is asked more often than without');

cmp_ok(beats($c{messages}, $ping), '>=', 2, 'Messages: pings');
is($c{messages}->body =~ s/\A(?:\Q$ping\E)+//r, fixture_text('anthropic/messages.stream.sse'), '... and the events of the provider');
cmp_ok(beats($c{$_}), '>=', 2, "$_: heartbeats") for qw(translated responses);
like($c{translated}->body, qr/data: \[DONE\]\n\n\z/, '... translated');
like($c{responses}->body, qr/\A(?:\Q$beat\E)+event: response\.created.*event: response\.completed/s, '... for Responses');

my ($late) = sort { beats($b) <=> beats($a) } @c{qw(q1 q2)};
cmp_ok(beats($late), '>=', 5, 'in the queue of a provider');
is(text($_), 'Queued', '... and the answer') for @c{qw(q1 q2)};

cmp_ok(beats($c{later}), '>=', 9, 'through retries and what is between them');
is(logged('/later/v1/chat/completions'), '200|3|overloaded|provider_overloaded', '... which are made');

is(error($c{short})->{code}, 'gateway_deadline', 'a deadline');
is(logged('/short/v1/chat/completions'), '200|1|timeout_total|gateway_deadline', '... in the log');

# ---- answers of other kinds ------------------------------------------------------

$up->reset;
$up->on('/a/*' => [ @wait, @{ ok_chat('Whole') } ]);
$up->on('/b/*' => [ @wait, @{ reply(400, {}, '{"error":{"message":"No such thing.","type":"invalid_request_error"}}') } ]);
$up->on('/c/*' => [ @wait, [ json => $message ] ]);
$up->on('/a/v1/completions' => [ @wait, [ json => qq({"id":"cmpl-1",\n"object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"Whole","finish_reason":"stop"}]\r\n}) ] ]);
$up->on('/a/v1/responses' => [ @wait, [ json => fixture_text('openai/responses.response.json') ] ]);
my $odd = 'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: 10\r\n\r\n';
$up->on('/b/v1/completions' => [ [ send => $odd ], @wait, [ send => '{"a":1}\n' ], @wait, [ send => '{}' ] ]);
%c = map { my ($name, @how) = @$_; ($name => begin(@how)) }
    [ whole => '/a/v1/chat/completions' ], [ told => '/c/v1/chat/completions' ], [ told_messages => '/c/v1/messages', $ask ],
    [ told_responses => '/c/v1/responses', $input ], [ wrong => '/b/v1/chat/completions?wrong' ],
    [ text => '/a/v1/completions?whole', $prompt ], [ own_responses => '/a/v1/responses', $input ],
    [ odd => '/b/v1/completions?odd', $prompt ], [ h10 => '/a/v1/chat/completions', undef, version => '1.0' ];
run_all(10, values %c);

is(text($c{whole}), 'Whole', 'a provider that does not stream: events all the same');
like($c{whole}->body, qr/\A(?:\Q$beat\E)+data: .*data: \[DONE\]\n\n\z/s, '... to their end');
my $said = join '', map { $_->{text} // '' } @{ from_json($message)->{content} };
is(text($c{told}), $said, '... translated');
like($c{told_messages}->body, qr/\A(?:\Q$ping\E)+event: message_start\n.*event: message_stop\n/s, '... for Messages');
like($c{told_responses}->body, qr/event: response\.completed/, '... for Responses');
my ($e, $done) = Test::LLM::Sse::events($c{text});
is($e->{json}{choices}[0]{text}, 'Whole', '... of completions');
is($done->{data}, '[DONE]', '... to their end');
is(logged('/a/v1/completions?whole'), '200|1|ok|-', '... in the log');
ok(error($c{own_responses}), "a provider's own Responses cannot be told so");
is(logged('/a/v1/responses'), '200|1|bad_answer|provider_bad_answer', '... in the log');
is($c{odd}->body, qq({"a":1}\n{}), 'bytes of another kind pass as they are');
is($c{odd}->header('content-type'), 'application/x-ndjson', '... under their own header');
is(logged('/b/v1/completions?odd'), '200|1|ok|-', '... in the log');
is(error($c{wrong})->{message}, 'No such thing.', "the client's own fault: the provider's words");
is(error($c{wrong})->{code}, 'caller_invalid_request', '... under our code');
is(text($c{h10}), 'Whole', 'HTTP/1.0');

# ---- another target ----------------------------------------------------------------

$up->reset;
$up->on('/a/*' => [ @wait, @{ reply(500, {}, '{"error":{"message":"x"}}') } ]);
$up->on('/b/*' => [ @wait, @{ ok_stream([ 'Second' ]) } ]);
my $fall = begin('/ab/v1/chat/completions');
run_all(10, $fall);
cmp_ok(beats($fall), '>=', 5, 'a target that fails, and the next');
is(text($fall), 'Second', '... whose answer it is');
unlike($fall->body, qr/error/, '... alone');
is(logged('/ab/v1/chat/completions'), '200|2|ok|-', '... in the log');

$up->reset;
$up->on('/a/*' => [ @{ ok_stream([ 'One', ' two' ], finish => undef, done => 0) }, [ pause => 20 ], [ 'rst' ] ]);
$up->on('/b/*' => [ @wait, @{ ok_stream([ 'One', ' two', ' three' ]) } ]);
my $on = begin('/go-on/v1/chat/completions');
run_all(10, $on);
is(text($on), 'One two three', 'a stream that goes on with another target');
like($on->body, qr/ two.*(?:\Q$beat\E){2,}data: .* three/s, '... between them');

# ---- clients -------------------------------------------------------------------------

$up->reset;
$up->on('/q/*' => [ 'hang' ], ok_stream([ 'Free' ]));
my $gone = begin('/q/v1/chat/completions?gone');
Test::LLM::Client::run(5, $gone, sub { beats($gone) >= 2 });
$gone->abort;
is(logged('/q/v1/chat/completions?gone'), '200|1|client_gone|-', 'a client that goes away meanwhile');
my ($asked) = $up->received('/q/*');
ok(wait_for(sub { grep { $_->{id} == $asked->{conn} && $_->{closed} } $up->connections }, 3), '... nobody works for it any more');
is(text($gw->post('/q/v1/chat/completions?after', $chat)), 'Free', '... its place is free');

my $long = join ' ', 1 .. 100_000;
$up->on('/a/*' => ok_stream([ unpack '(a4000)*', $long ]));
my $slow = begin('/a/v1/chat/completions?slow', undef, rcvbuf => 16384);
$slow->deaf;
run_all(0.8, $slow);
delete $slow->{error};
$slow->deaf(0);
run_all(20, $slow);
ok(text($slow) eq $long, 'a client that is slow gets its answer');
cmp_ok(beats($slow), '<=', 3, '... and no heartbeats while it is behind');

SKIP: {
    my ($curl) = grep { -x } map { "$_/curl" } split /:/, $ENV{PATH};
    skip('no curl that speaks HTTP/2', 1) if !$curl || `$curl --version` !~ /\bHTTP2\b/;
    $up->on('/a/*' => [ @wait, @{ ok_stream([ 'Two' ]) } ]);
    my $out = `$curl -s --http2-prior-knowledge --max-time 10 -d '$chat' -H 'Content-Type: application/json' http://127.0.0.1:@{[ $gw->port('H2') ]}/a/v1/chat/completions`;
    like($out, qr/\A(?:\Q$beat\E){2,}data: .*Two.*data: \[DONE\]\n\n\z/s, 'HTTP/2');
}

finish();
