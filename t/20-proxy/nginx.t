# Side by side with nginx's own modules: access, limits, compression, rewriting,
# HTTP/2, unix sockets; refusals of theirs are JSON in our locations.

use lib 't/lib';
use Test::LLM;
use Socket ();

my $up = Test::LLM::Upstream->new;
$up->on('/*' => ok_chat('fine ' x 500));
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' },
    files => { htpasswd => "user:{PLAIN}secret-pass\n" }, conf => <<'EOC')->start;
    llm_zone t:4m;
    limit_req_zone $binary_remote_addr zone=slow:1m rate=1r/m;
    limit_conn_zone $server_port zone=conns:1m;
    gzip_types application/json;
    log_format llm '$uri $status $upstream_addr $upstream_status $upstream_response_time $request_length $llm_provider error=$llm_error';
    access_log %%DIR%%/llm.log llm;
    map $llm_provider $served { default "by $llm_provider"; }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; key env:KEY_A; breaker off; }
    llm_provider u { dialect openai; base_url http://unix:%%DIR%%/back.sock:/v1; }
    llm_model m { provider a; id m-1; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /plain/   { llm_pass m; add_header X-Served $served always; }
        location /basic/   { auth_basic x; auth_basic_user_file %%DIR%%/htpasswd; llm_pass m; }
        location /any/     { satisfy any; deny all; auth_basic x; auth_basic_user_file %%DIR%%/htpasswd; llm_pass m; }
        location /asked/   { auth_request /auth; llm_pass m; }
        location = /auth   { internal; if ($http_x_pass = yes) { return 204; } return 403; }
        location /limited/ { limit_req zone=slow; limit_req_status 429; llm_pass m; }
        location /conn/    { limit_conn conns 1; llm_pass m; }
        location /gzip/    { gzip on; gzip_min_length 1; llm_pass m; }
        location /old/     { rewrite ^/old/(.*)$ /plain/$1 last; }
        location /pages/   { error_page 502 = @other; llm_pass m; }
        location @other    { return 200 "other"; }
        location /unix/    { llm_pass u; }
        location /if/      { if ($http_x_fast) { llm_pass m; break; } return 404; }
        location /sub/     { auth_request /plain/v1/chat/completions; proxy_pass http://unix:%%DIR%%/back.sock; }
        location /small/   { client_max_body_size 10; llm_pass m; }
        location /quiet/   { client_max_body_size 10; llm_response_headers off; llm_pass m; }
        location /status   { return 200 "ok"; }
        location /html     { deny all; }
    }
    server { listen unix:%%DIR%%/back.sock; location / { default_type application/json; return 200 '{"id":"u","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"over a unix socket"},"finish_reason":"stop"}]}'; } }
    server { listen 127.0.0.1:%%PORT_H2%% http2; client_max_body_size 20m; location /plain/ { llm_pass m; } }
EOC

my $path = 'v1/chat/completions';
sub ask { my ($p, %h) = @_; return $gw->http(POST => "/$p/$path", \%h, chat_body('m')) }
sub json_error {
    my ($r, $status, $error, $name) = @_;
    is($r->status, $status, $name) or diag $r->wire;
    is($r->header('x-llm-error'), $error, '... x-llm-error') if $error;
    ok($r->json && length $r->json->{error}{message}, '... in JSON') or diag $r->wire;
}

my $r = ask('plain');
is($r->status, 200, 'plain');
is($r->header('x-served'), 'by a', 'variables in map and add_header');

json_error(ask('basic'), 401, 'policy_unauthorized', 'auth_basic');
is($up->count, 1, '... nothing was sent');
ok(ask('basic')->header('www-authenticate'), '... its challenge stays');
is(ask('basic', Authorization => 'Basic dXNlcjpzZWNyZXQtcGFzcw==')->status, 200, '... and lets in');
is(($up->received)[-1]{h}{authorization}, 'Bearer sk-alpha-00001', '... its credentials go no further');
is(ask('any', Authorization => 'Basic dXNlcjpzZWNyZXQtcGFzcw==')->status, 200, 'satisfy any');
json_error(ask('any'), 401, undef, '... or not');

json_error(ask('asked'), 403, 'policy_forbidden', 'auth_request');
my $n = $up->count;
is(ask('asked', 'X-Pass' => 'yes')->status, 200, '... lets in');
is($up->count, $n + 1, '... one send');

is(ask('limited')->status, 200, 'limit_req');
json_error(ask('limited'), 429, 'policy_rate_limited', '... refuses');

$up->on('/*' => [ [ barrier => 'conn' ], @{ ok_chat('x') } ]);
my ($c) = start_all($gw, [ POST => "/conn/$path", {}, chat_body('m') ]);
run_all(5, $c, sub { $up->waiting('conn') });
json_error(ask('conn'), 503, undef, 'limit_conn');
$up->release('conn');
run_all(5, $c);
is($c->status, 200, '... the other one is served');
$up->reset;
$up->on('/*' => ok_chat('fine ' x 500));

$r = ask('gzip', 'Accept-Encoding' => 'gzip');
is($r->header('content-encoding'), 'gzip', 'gzip of the answer');
require IO::Uncompress::Gunzip;
IO::Uncompress::Gunzip::gunzip(\$r->{body} => \my $text);
ok(from_json($text), '... is the answer');
isnt(($up->received)[-1]{h}{'accept-encoding'} // '', 'gzip', '... the provider is not asked for it');
$up->on('/*' => ok_stream([ 'one', [ pause => 150 ], 'two' ]));
$r = $gw->http(POST => "/gzip/$path", {}, chat_body('m', stream => JSON::PP::true()));
is(Test::LLM::Sse::text(Test::LLM::Sse::events($r)), 'onetwo', 'a stream through the same location');
$up->reset;
$up->on('/*' => ok_chat('fine'));

is(ask('old')->status, 200, 'rewrite');
is(ask('unix')->json->{choices}[0]{message}{content}, 'over a unix socket', 'a provider behind a unix socket');
is(ask('if', 'X-Fast' => 1)->status, 200, 'llm_pass in "if"');
is(ask('if')->status, 404, '... not taken');
json_error(ask('small'), 413, 'caller_too_large', 'client_max_body_size');
my $logged = wait_for(sub { (grep { m{^/small/} } split /\n/, $gw->access('llm.log'))[0] });
like($logged, qr{ 413 .* error=caller_too_large$}, '... in $llm_error');
$r = ask('quiet');
is($r->status, 413, 'a refusal where headers are off');
is($r->header('x-llm-error'), undef, '... has none of ours');
$r = $gw->get('/html');
like($r->header('content-type'), qr{^text/html}, 'other locations keep nginx\'s pages');
$r = $gw->get('/sub/x');
cmp_ok($r->status, '>=', 400, 'a subrequest does not get through');
is($gw->get('/status')->status, 200, '... and harms nobody');

$up->on('/*' => reply(500, {}, '{}'));
$r = $gw->http(POST => "/pages/$path", {}, chat_body('m'), timeout => 30);
ok($r->status == 502 || $r->body eq 'other', 'error_page does no harm');
$up->reset;
$up->on('/*' => ok_chat('fine'));

my ($line) = wait_for(sub { (grep { m{^/plain/} } split /\n/, $gw->access('llm.log'))[0] });
my $port = $up->port;
like($line, qr{ 200 127\.0\.0\.1:$port 200 \d\.\d+ \d+ a error=-$}, '$upstream_… in logs');

# ---- HTTP/2 -----------------------------------------------------------------------------------

my $h2 = 'http://127.0.0.1:' . $gw->port('H2') . "/plain/$path";
sub curl { my @a = @_; open my $p, '-|', 'curl', '-sN', '--http2-prior-knowledge', '--max-time', 15, '-H', 'Content-Type: application/json', @a or die; local $/; my $o = readline($p) // ''; close $p; return $o }
$up->on('/*' => ok_stream([ 'one', [ pause => 100 ], ' two' ], usage => { prompt_tokens => 1, completion_tokens => 2, total_tokens => 3 }));
my $out = curl('-d', chat_body('m', stream => JSON::PP::true()), $h2);
is(Test::LLM::Sse::text(Test::LLM::Sse::events($out)), 'one two', 'HTTP/2: a stream');
ok(Test::LLM::Sse::done(Test::LLM::Sse::events($out)), '... to its end');
$up->reset;
$up->on('/*' => ok_chat('big'));
$gw->write('big.json', chat_body('m', x => 'y' x 5_000_000));
$out = curl('--data-binary', '@' . $gw->dir . '/big.json', '-w', '%{http_code}', $h2);
like($out, qr/200$/, 'HTTP/2: a body of 5 MB') or diag substr $out, 0, 300;
is(($up->received)[-1]{len}, length(chat_body('m', x => '')) + 2 + 5_000_000, '... whole');
$up->reset;
$up->on('/*' => ok_stream([ 'some', [ pause => 50 ], [ 'rst' ] ]));
$out = curl('-d', chat_body('m', stream => JSON::PP::true()), $h2);
ok(Test::LLM::Sse::error(Test::LLM::Sse::events($out)), 'HTTP/2: a cut stream has its error event');
ok(!Test::LLM::Sse::done(Test::LLM::Sse::events($out)), '... and no [DONE]');

# ---- a slow reader gets everything ---------------------------------------------------------------

$up->reset;
my $text2 = join ' ', 1 .. 60_000;
$up->on('/*' => ok_stream([ unpack '(a4000)*', $text2 ]));
($c) = start_all($gw, [ POST => "/plain/$path", {}, chat_body('m', stream => JSON::PP::true()), rcvbuf => 65536 ]);
$c->deaf;
run_all(0.5, $c);
delete $c->{error};
$c->deaf(0);
run_all(20, $c);
is(Test::LLM::Sse::text(Test::LLM::Sse::events($c)), $text2, 'a slow reader gets everything, once and in order');

finish();
