# Sessions by WebSocket: the handshake is routed, retried and gets its key like
# any request, then bytes pass both ways until one side has enough.

use lib 't/lib';
use Test::LLM;
use Test::LLM::WebSocket;
use Test::LLM::WsServer;

my $ws = Test::LLM::WsServer->new;
my $up = Test::LLM::Upstream->new;
my %env = (KEY_A => 'sk-alpha-00001', KEY_B => 'sk-beta-000001');

my $bust = Test::LLM::WsServer->new;
my $gw = Test::LLM::Gateway->new(vars => { WS => $ws->port, UP => $up->port, BUST => $bust->port }, env => \%env, conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$request_id|$status|$llm_status_class|$llm_error|$llm_attempts|$llm_fallbacks|$llm_key|$llm_model|$llm_target_model|$llm_input_tokens|$llm_output_tokens|$llm_cost|$llm_variant|$bytes_sent';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool two { select in_order; key env:KEY_A name=one; key env:KEY_B name=other; }
    llm_provider a    { dialect openai; base_url http://127.0.0.1:%%WS%%/v1; keys two; breaker failures=2 open=20s; timeout total=1500ms; }
    llm_provider down { dialect openai; base_url http://127.0.0.1:%%UP%%/down/v1; key env:KEY_B; breaker off; timeout header=200ms; }
    llm_provider slot { dialect openai; base_url http://127.0.0.1:%%WS%%/slot/v1; inflight 1; breaker off; }
    llm_provider bust { dialect openai; base_url http://127.0.0.1:%%BUST%%/v1; breaker failures=1 open=20s; }
    llm_model voice { provider a; id gpt-realtime-2; can realtime; price input=32 output=64; }
    llm_model text  { provider a; id gpt-text; can chat; }
    llm_model late  { provider down; id late; }
    llm_model fall  { provider a; id fall; }
    llm_route both  { target late; target fall; }
    llm_route deaf  { target text; target voice; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        llm_retry 2 backoff=1ms..2ms deadline=2s;
        llm_response_headers all;
        location /v1/    { llm_pass $llm_model; }
        location /one/   { llm_pass voice; }
        location /raw/   { llm_pass a; }
        location /both/  { llm_pass both; }
        location /deaf/  { llm_pass deaf; }
        location /slot/  { llm_pass slot; }
        location /bust/  { llm_retry off; llm_pass bust; }
        location = /health { llm_health; }
    }
EOC

sub session { my ($path, $h, %o) = @_; return Test::LLM::WebSocket->connect($o{port} || $gw->port, $path, $h, %o) }
sub last_session { return ($ws->sessions)[-1] }
# a line of the log, by name
sub logged {
    my ($s) = @_;
    my $id = $s->header('x-id');
    my $line = wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] }) // '';
    my %f;
    @f{qw(id status class error attempts fallbacks key model target input output cost variant bytes)} = split /\|/, $line;
    return \%f;
}

# ---- the handshake ------------------------------------------------------------------

my $s = session('/v1/realtime?model=voice&x=1&key=sk-query-00001&api-key=q', {
    Authorization => 'Bearer sk-client-0001', 'OpenAI-Beta' => 'realtime=v1', Cookie => 'c=1', Origin => 'http://evil',
    'Sec-WebSocket-Extensions' => 'permessage-deflate; client_max_window_bits',
}, protocol => 'realtime, openai-insecure-api-key.sk-browser-001, openai-beta.realtime-v1, openai-organization.org-1');
is($s->status, 101, 'the protocol changes');
ok($s->open, 'with the answer that fits the key');
is($s->header('upgrade'), 'websocket', 'Upgrade');
is(lc $s->header('connection'), 'upgrade', 'Connection');
is($s->header('sec-websocket-protocol'), 'realtime', 'the subprotocol that the provider chose');
is($s->header('sec-websocket-extensions'), undef, 'and no extension that it did not');
is($s->header('x-llm-provider'), 'a', 'x-llm-provider');
is($s->header('x-llm-model'), 'voice', 'x-llm-model');
is($s->header('x-llm-key'), 'one', 'x-llm-key');
is($s->header('x-llm-attempts'), 1, 'x-llm-attempts');
is($s->header('content-type'), undef, 'no type');

my $q = last_session();
is($q->{path}, '/v1/realtime?x=1&model=gpt-realtime-2', 'the model of the target, no key of the query');
is($q->{h}{authorization}, 'Bearer sk-alpha-00001', 'the key of the pool');
is($q->{h}{'sec-websocket-protocol'}, 'realtime, openai-beta.realtime-v1', 'subprotocols without those of an account');
is($q->{h}{'sec-websocket-extensions'}, 'permessage-deflate; client_max_window_bits', 'extensions');
is($q->{h}{'sec-websocket-version'}, '13', 'version');
is($q->{h}{'openai-beta'}, 'realtime=v1', 'openai-beta');
unlike($q->{head}, qr/sk-client|sk-browser|sk-query|org-1|cookie|origin/i, 'nothing else of the client');

# ---- frames -------------------------------------------------------------------------

is($s->ask('hello'), 'hello', 'a text, there and back');
is($s->{kind}, 'text', '... as text');
is($s->ask("\x00\xff\x80", binary => 1), "\x00\xff\x80", 'bytes');
is($s->{kind}, 'binary', '... as bytes');
is($s->ask(''), '', 'nothing at all');
my $big = join '', map { chr(32 + $_ % 90) } 1 .. 1 << 20;
is($s->ask($big, timeout => 20) eq $big, 1, '1 MB, there and back');
is($s->ask($big, pieces => 17, timeout => 20) eq $big, 1, '... and in fragments');
$s->ping('p');
is($s->ask('after a ping'), 'after a ping', 'control frames pass');
is($s->pongs, 1, '... both ways');
$s->command('pieces 5');
is($s->hear, join('', 'a' .. 'z'), 'fragments with pings between them');
is($s->{pings}, 4, '... come as they were sent');
$s->command(send => 3 << 20);
is(length($s->hear(20) // ''), 3 << 20, '3 MB of one message');
is($s->close(1000), 'close 1000', 'and the end, as it was said');
my $l = logged($s);
is($l->{class}, 'ok', 'a session that ended');
is($l->{status}, 101, '... has its status in the log');
is("$l->{attempts} $l->{model} $l->{target} $l->{key}", '1 voice gpt-realtime-2 one', '... and its names');
cmp_ok($l->{bytes}, '>', 4 << 20, '... and its bytes');
is(last_session()->{close}, 1000, 'the provider heard the code');

for my $code (1000, 1001, 1008, 4001) {
    $s = session('/one/realtime', {});
    $s->command(close => $code);
    is($s->ended, "close $code", "the provider ends it with $code");
    is(logged($s)->{class}, 'ok', '... which is no failure');
}
for my $code (1011, 1013) {
    $s = session('/one/realtime', {});
    $s->command(close => $code);
    is($s->ended, "close $code", "$code passes");
    is(logged($s)->{class}, 'cut', '... and is a failure of the provider');
}
for my $how (qw(fin rst)) {
    $s = session('/one/realtime', {});
    $s->command($how);
    like($s->ended, qr/^(?:eof|reset)$/, "the provider is gone ($how): so is the session");
    $l = logged($s);
    is("$l->{class} $l->{error}", 'cut provider_cut', '... which was cut');
}
is(session('/one/realtime', {})->open, 1, 'all that does not concern the breaker: it heard of the handshakes');

# frames right behind the handshakes
$ws->answer_with(behind => Test::LLM::WebSocket::message(text => 'early bird'));
$s = session('/one/realtime', {}, early => Test::LLM::WebSocket::message(text => 'early worm', mask => 1));
is($s->hear, 'early bird', 'a frame in one piece with the provider\'s 101');
is($s->hear, 'early worm', '... and one in one piece with the client\'s request');
$s->close;
$ws->answer_with;

# the client goes away
for my $how ('', 'hard') {
    $s = session('/one/realtime', {});
    $s->ask('x');
    $s->hang_up($how);
    ok(wait_for(sub { last_session()->{ended} }), 'a client that is gone: the provider hears of it' . ($how && ', hard'));
    like(logged($s)->{class}, qr/^(?:ok|client_gone)$/, '... and is not to blame');
}

# ---- the model ------------------------------------------------------------------------

session('/raw/realtime?model=anything%2Fof%20mine&a=b', {})->close;
is(last_session()->{path}, '/v1/realtime?model=anything%2Fof%20mine&a=b', 'a provider gets the client\'s own model');
session('/one/realtime', {})->close;
is(last_session()->{path}, '/v1/realtime?model=gpt-realtime-2', 'where the client names none it is added');
session('/one/realtime?call_id=rtc_1', {})->close;
is(last_session()->{path}, '/v1/realtime?call_id=rtc_1', '... but not where a call is joined');
session('/one/realtime/translations?mod%65l=x;model=y&a=1;model=z', {})->close;
is(last_session()->{path}, '/v1/realtime/translations?a=1%3Bmodel=z&model=gpt-realtime-2', 'whichever way it is written');
$s = session('/v1/realtime?model=voice&m%6fdel=text', {});
is($s->status, 400, 'two models');
is($s->header('x-llm-error'), 'caller_duplicate_key', '... are refused');
$s = session('/v1/realtime?model=nobody', {});
is($s->header('x-llm-error'), 'caller_model_not_found', 'an unknown one');
$s = session('/v1/realtime', {});
is($s->header('x-llm-error'), 'caller_model_missing', 'none');
$s = session('/deaf/realtime', {});
is($s->header('x-llm-model'), 'voice', 'a target that has no sessions is stepped over');
$s->close;
$s = session('/v1/realtime?model=text', {});
is($s->header('x-llm-error'), 'caller_unsupported', 'a model that has none');

# ---- no handshake ---------------------------------------------------------------------

my $r = $gw->get('/one/realtime');
is($r->status, 426, 'a session without WebSocket');
is($r->header('upgrade'), 'websocket', '... with what is expected');
is($r->header('x-llm-error'), 'caller_upgrade_required', '... its code');
is($r->json->{error}{code}, 'caller_upgrade_required', '... in JSON');
is(session('/one/realtime', { Upgrade => 'h2c', Connection => 'Upgrade', 'Sec-WebSocket-Key' => 'AQIDBAUGBwgJCgsMDQ4PEA==', 'Sec-WebSocket-Version' => 13 }, raw => 1)->status, 426, 'another protocol');
is(session('/one/realtime', {}, version => 8)->header('sec-websocket-version'), 13, 'another version of it');
is(session('/one/realtime', {}, key => 'short')->header('x-llm-error'), 'caller_bad_request', 'no key');
is(session('/one/realtime', { 'Content-Length' => 3 }, early => 'abc')->header('x-llm-error'), 'caller_bad_request', 'a body');
is($gw->raw("GET /one/realtime HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n")->status, 426, 'HTTP/1.0');

# ---- a provider that refuses ------------------------------------------------------------

$up->on('/down/*' => reply(503, {}, '{"error":{"message":"no"}}'));
$s = session('/both/realtime', {});
is($s->status, 101, 'a provider that refuses: the next one is asked');
is($s->header('x-llm-model') . $s->header('x-llm-attempts') . $s->header('x-llm-fallbacks'), 'fall21', '... as of any request');
is($s->ask('x'), 'x', '... and it serves');
is($s->close, 'close 1000', '... to the end');
$up->reset;
$up->on('/down/*' => [ [ 'early' ], [ 'hang' ] ]);
$s = session('/both/realtime', {});
is($s->header('x-llm-model'), 'fall', 'one that does not answer: `header` is how long it may take');
$s->close;
is(logged($s)->{fallbacks}, 1, '... as the log tells');
for my $bad ([ 'another hash', accept => 'c29tZXRoaW5nIGVsc2UgYXMgYQ==' ], [ 'another protocol', upgrade => 'h2c' ],
    [ 'a 200', raw => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" ], [ 'no HTTP', raw => "hello\r\n\r\n" ])
{
    $ws->answer_with(@$bad[1, 2]);
    $s = session('/slot/realtime', {});
    is($s->status, 502, "$bad->[0]: no session");
    is($s->header('x-llm-error'), 'provider_bad_answer', '... but an error');
}
$ws->answer_with;
$bust->answer_with(raw => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
session('/bust/realtime', {});
my ($health) = grep { $_->{name} eq 'bust' } @{ $gw->get('/health')->json->{providers} };
is($health->{breaker}, 'open', 'a refusal counts for the breaker');

# keys
$ws->forget;
$ws->answer_with(raw => "HTTP/1.1 429 Slow\r\nRetry-After: 60\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
$s = session('/one/realtime', {});
is($s->status, 429, 'all keys refused');
is(join(' ', map { $_->{h}{authorization} } $ws->sessions), 'Bearer sk-alpha-00001 Bearer sk-beta-000001', '... one after the other');
$ws->answer_with;
is(session('/one/realtime', {})->status, 429, 'they rest');

finish();
