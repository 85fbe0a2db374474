# What clients send: refused bodies, large bodies, compressed ones, and the
# form of every refusal.

use lib 't/lib';
use Test::LLM;
use Digest::SHA qw(sha256_hex);

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    client_max_body_size 100m;
    client_body_buffer_size 16k;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; key env:KEY_A; }
    llm_model m { provider a; id m-1; can chat stream; }
    llm_model internal-m { provider a; id m-2; internal; }
    llm_prompt p { user "{text}"; answer json; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { llm_pass $llm_model; }
        location /deny/ { deny all; llm_pass m; }
        location = /analyze { llm_analyze p; llm_pass m; }
        location /limited/ { client_max_body_size 1k; llm_pass m; }
    }
    server { listen 127.0.0.1:%%PORT_H2%% http2; location /v1/ { llm_pass $llm_model; } }
EOC
$up->on('/*' => ok_chat('fine'));

sub refused {
    my ($name, $status, $error, $r, $type) = @_;
    subtest $name => sub {
        is($r->status, $status, "status $status") or diag $r->wire;
        like($r->header('content-type') // '', qr{^application/json}, 'JSON');
        is($r->header('x-llm-error'), $error, "x-llm-error: $error") if $error;
        my $e = $r->json && $r->json->{error};
        ok($e && length $e->{message}, 'error.message') or diag $r->body;
        is($e && $e->{type}, $type || 'invalid_request_error', 'error.type');
        ok($e && exists $e->{code} && exists $e->{param}, 'error.code and error.param');
        ok($r->complete, 'complete');
    };
}
sub post { my ($body, %h) = @_; $gw->http(POST => delete $h{path} || '/v1/chat/completions', \%h, $body) }

my $before = $up->count;
refused('no JSON', 400, 'caller_invalid_json', post('hello'));
refused('an empty body', 400, 'caller_invalid_json', post(''));
refused('an array', 400, 'caller_invalid_json', post('[1]'));
refused('cut JSON', 400, 'caller_invalid_json', post('{"model":"m"'));
refused('garbage behind it', 400, 'caller_invalid_json', post('{"model":"m"} x'));
refused('20 000 levels', 400, 'caller_invalid_json', post('{"model":"m","x":' . '[' x 20_000 . ']' x 20_000 . '}'));
refused('model twice', 400, 'caller_duplicate_key', post('{"model":"m","model":"x"}'));
refused('model twice, escaped', 400, 'caller_duplicate_key', post('{"model":"m","mod\u0065l":"x"}'));
refused('stream twice', 400, 'caller_duplicate_key', post('{"model":"m","stream":true,"stream":false}'));
refused('no model', 400, 'caller_model_missing', post('{"messages":[]}'));
refused('an empty model', 400, undef, post('{"model":""}'));
refused('a model that is a number', 400, undef, post('{"model":7}'));
refused('an unknown model', 404, 'caller_model_not_found', post(chat_body('nobody')));
is(post(chat_body('nobody'))->json->{error}{code}, 'model_not_found', '... in the dialect\'s words');
unlike(post(chat_body('nobody'))->body, qr/internal-m|"m"|m-1/, '... listing nothing');
refused('an internal model', 404, 'caller_model_not_found', post(chat_body('internal-m')));
refused('a provider by variable', 404, 'caller_model_not_found', post(chat_body('a')));
refused('an unknown endpoint', 404, 'caller_unknown_endpoint', post(chat_body('m'), path => '/v1/nothing'));
refused('a method', 405, 'caller_method', $gw->http(PUT => '/v1/chat/completions', {}, chat_body('m')));
refused('GET of a chat', 405, 'caller_method', $gw->get('/v1/chat/completions'));
refused('an unsupported encoding', 415, 'caller_encoding', post(chat_body('m'), 'Content-Encoding' => 'zstd'));
refused('XML', 415, 'caller_media_type', post('<x/>', 'Content-Type' => 'text/xml'));
refused('what no target can', 400, 'caller_unsupported',
        post(chat_body('m', tools => [ { type => 'function', function => { name => 'f' } } ])));
refused('access denied', 403, 'policy_forbidden', post(chat_body('m'), path => '/deny/v1/chat/completions'));
refused('too large', 413, 'caller_too_large', post(chat_body('m', x => 'y' x 5000), path => '/limited/v1/chat/completions'));
refused('a missing member', 400, 'caller_missing_member', post('{"x":1}', path => '/analyze'));
is(post('{"x":1}', path => '/analyze')->json->{error}{param}, 'text', '... error.param names it');
refused('a member twice', 400, undef, post('{"text":"a","text":"b"}', path => '/analyze'));
refused('a raw bad request line', 400, undef, $gw->raw("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"))
    if 0;    # nginx refuses it before any location is known
is($up->count, $before, 'nothing of all that reached the provider');

# CRLF and other syntax in a model name stay in the body
$gw->http(POST => '/v1/chat/completions', {}, '{"model":"x\r\nX-Evil: 1","messages":[]}');
is($up->count, $before, 'a strange model name is just unknown');

# ---- compressed -------------------------------------------------------------------

{
    require IO::Compress::Gzip;
    my $plain = chat_body('m');
    IO::Compress::Gzip::gzip(\$plain => \my $zip);
    my $r = post($zip, 'Content-Encoding' => 'gzip');
    if ($r->status == 200) {
        is(from_json(($up->received)[-1]{body})->{model}, 'm-1', 'a gzip body is understood');
    } else {
        refused('a gzip body', 415, 'caller_encoding', $r);
    }
}

# ---- sizes: in memory, in a file, at the edges ---------------------------------------

for my $size (0, 1, 15_900, 16_300, 16_384, 17_000, 70_000, 1 << 20, 5 << 20) {
    my $text = 'x' x $size;
    my $r = post(qq({"messages":[{"role":"user","content":"$text"}],"model":"m"}));
    my ($q) = ($up->received)[-1];
    is($r->status . ' ' . $q->{sha256}, '200 ' . sha256_hex(qq({"messages":[{"role":"user","content":"$text"}],"model":"m-1"})),
       "a body of $size bytes of text, byte for byte");
}

my $r = $gw->http(POST => '/v1/chat/completions', {}, chat_body('m', x => 'y' x 100_000), chunked => 1);
is($r->status, 200, 'a chunked request');
is(($up->received)[-1]{h}{'content-length'}, ($up->received)[-1]{len}, '... goes out with a length');

$r = $gw->http(POST => '/v1/chat/completions', { Expect => '100-continue' }, chat_body('m'));
is($r->status, 200, 'Expect: 100-continue');
is(($up->received)[-1]{h}{expect}, undef, '... stays here');

$r = post(chat_body('m'), 'Content-Type' => 'application/x-www-form-urlencoded');
is($r->status, 200, 'JSON under the type that curl -d sends');

$r = $gw->http(POST => '/v1/chat/completions', {}, chat_body('m'), version => '1.0');
is($r->status, 200, 'an HTTP/1.0 client');

$r = $gw->http(POST => '/v1/chat/completions', {}, chat_body('m'), body_rate => [ 20, 5 ]);
is($r->status, 200, 'a slow client');

# two requests on one connection
my $one = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
    . length(chat_body('m')) . "\r\n";
$r = $gw->raw("$one\r\n" . chat_body('m') . "${one}Connection: close\r\n\r\n" . chat_body('m'), keep_open => 1);
is($r->status, 200, 'the first of two pipelined requests');

# HTTP/2
my $h2 = $gw->port('H2');
my $out = `curl -s --http2-prior-knowledge --max-time 10 -H 'Content-Type: application/json' -d '@{[ chat_body('m') ]}' -w ' %{http_version} %{http_code}' http://127.0.0.1:$h2/v1/chat/completions`;
like($out, qr/"fine".* 2 200$/s, 'an HTTP/2 client');

# HEAD and OPTIONS never hang
$r = $gw->http(HEAD => '/v1/models');
is($r->status, 200, 'HEAD of the model list');
is($r->body, '', '... no body');

finish();
