# Calls of the Realtime API: made by a POST, they live at the account that made
# them, and so does whatever names their id.

use lib 't/lib';
use Test::LLM;
use Test::LLM::WebSocket;
use Test::LLM::WsServer;

my $ws = Test::LLM::WsServer->new;
my %env = map { ("KEY_$_" => "sk-number-0000$_") } 1 .. 4;
my $gw = Test::LLM::Gateway->new(vars => { WS => $ws->port }, env => \%env, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_key_pool four { select round_robin; key env:KEY_1 name=k1; key env:KEY_2 name=k2; key env:KEY_3 name=k3; key env:KEY_4 name=k4; }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%WS%%/a/v1; keys four; breaker off; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%WS%%/b/v1; keys four; breaker off; }
    llm_model ma { provider a; id voice-a; }
    llm_model mb { provider b; id voice-b; }
    llm_split s { variant blue ma 50%; variant green mb 50%; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1/  { llm_pass $llm_model; }
        location /one/ { llm_response_headers off; llm_pass ma; }
        location /s/   { llm_pass s; }
    }
EOC

my ($id, $answer) = ('rtc_u1_0001', 'v=0 answer');
# the server of sessions reads frames behind the first request of a connection
sub makes { my ($location) = @_; $ws->answer_with(raw => "HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\nConnection: close\r\n$location" . 'Content-Length: ' . length($answer) . "\r\n\r\n$answer") }
sub offer { my ($path) = @_; $ws->forget; return $gw->http(POST => "$path/realtime/calls", { 'Content-Type' => 'application/sdp' }, 'v=0 offer') }
sub last_one { return ($ws->sessions)[-1] }
sub who { my $s = last_one(); return "$s->{h}{authorization} " . ($s->{path} =~ m{^/(\w)/})[0] }
sub join_call { my ($path) = @_; my $s = Test::LLM::WebSocket->connect($gw->port, $path, {}); $s->close if $s->open; return who() }

# ---- made and joined ----------------------------------------------------------------------

makes("Location: /v1/realtime/calls/$id\r\n");
my $r = offer('/one');
is($r->status . $r->body, "201$answer", 'a call is made');
is($r->header('location'), "/one/realtime/calls/$id", '... below the path that was asked for');
is($r->header('x-llm-provider'), undef, '... whatever else is told');
my $home = who();
$ws->answer_with;
is(join_call("/one/realtime?call_id=$id"), $home, 'who joins it comes to the same key') for 1 .. 3;
is(last_one()->{path}, "/a/v1/realtime?call_id=$id", '... with its id');
$ws->answer_with(raw => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
is($gw->http(POST => "/one/realtime/calls/$id/hangup")->status, 200, 'who ends it');
is(who(), $home, '... as well');
is(last_one()->{path}, "/a/v1/realtime/calls/$id/hangup", '... by its path');
$gw->reload;
$ws->answer_with;
is(join_call("/one/realtime?call_id=$id"), $home, 'a reload forgets nothing');
my %seen = map { join_call('/one/realtime?call_id=rtc_other') => 1 } 1 .. 4;
is(scalar keys %seen, 4, 'an unknown call may be anybody\'s');

$id = 'rtc_u1_0002';
makes("Location: https://api.example.com/v1/realtime/calls/$id\r\n");
$r = offer('/v1');
is($r->header('x-llm-error'), 'caller_model_missing', 'a variable needs a model');
$r = $gw->http(POST => '/v1/realtime/calls?model=mb', { 'Content-Type' => 'application/sdp' }, 'v=0 offer');
is($r->header('location'), "/v1/realtime/calls/$id", '... without the query');
$home = who();
$ws->answer_with;
is(join_call("/v1/realtime?model=mb&call_id=$id"), $home, '... in the session, too');

# ---- variants -----------------------------------------------------------------------------

my @stray;
for my $n (10 .. 21) {
    makes("Location: /v1/realtime/calls/rtc_$n\r\n");
    offer('/s');
    $home = who();
    $ws->answer_with;
    push @stray, $n if join_call("/s/realtime?call_id=rtc_$n") ne $home;
}
is("@stray", '', 'calls of both variants stay where they are');

# ---- other answers ------------------------------------------------------------------------

for my $bad ('', "Location: \r\n", "Location: /calls/\r\n", 'Location: /calls/' . 'x' x 300 . "\r\n", "Location: /calls/a%0d\r\n") {
    makes($bad);
    $r = offer('/one');
    is($r->status, 201, 'an answer that names no call' . ($bad && ': ' . substr $bad, 10, 20));
    unlike($r->header('location') // '', qr/x{300}|%/, '... passes without');
}
$ws->answer_with(raw => "HTTP/1.1 302 Found\r\nLocation: /v1/realtime/calls/rtc_9\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
is(offer('/one')->header('location'), undef, 'nor does a redirect name one');
makes("Location: /v1/files/file_9\r\n");
is($gw->http(POST => '/one/realtime/sessions', { 'Content-Type' => 'application/json' }, '{}')->header('location'), undef, '... nor what is no call');

finish();
