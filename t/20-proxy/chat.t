# A chat request on its way to an OpenAI-compatible provider and back.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => {
    KEY_A => 'sk-alpha-00001', KEY_B => 'sk-beta-00002' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$uri|$llm_model|$llm_route|$llm_provider|$llm_target_model|'
                   '$llm_key|$llm_attempts|$llm_fallbacks|$llm_status_class|'
                   '$llm_error|$llm_input_tokens|$llm_cached_tokens|'
                   '$llm_output_tokens|$llm_cost|$llm_ttft|$llm_overhead';
    access_log %%DIR%%/llm.log llm;

    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; key env:KEY_A name=first; header X-Title clinic; }
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; key env:KEY_B; }
    llm_provider nokey { dialect openai; base_url http://127.0.0.1:%%UP%%/n/v1; }
    llm_provider theirs { dialect openai; base_url http://127.0.0.1:%%UP%%/t/v1; key client; }
    llm_model small { provider a; id vendor/small-1; price input=0.5 output=1.5 cached=0.1; }
    llm_model other { provider b; id other-1; }
    llm_model secret { provider b; id secret-1; internal; }
    llm_route chain { target small; target other; }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/      { llm_pass $llm_model; }
        location /small/   { llm_pass small; llm_response_headers all; }
        location /a/       { llm_pass a; llm_response_headers id; }
        location /quiet/   { llm_pass small; llm_response_headers off; }
        location /theirs/  { llm_pass theirs; }
        location /nokey/   { llm_pass nokey; }
        location /fixed    { llm_pass small; llm_endpoint chat/completions; }
        location /pass/    { llm_pass a; llm_endpoint passthrough; }
    }
EOC

sub last_seen { return ($up->received)[-1] }
sub log_line {
    my ($uri) = @_;
    return wait_for(sub {
        my @l = grep { /^\Q$uri\E\|/ } split /\n/, $gw->access('llm.log');
        return $l[-1];
    }) // '';
}

$up->on('/*' => ok_chat('Hello.', headers => [
    'X-Request-Id: req_1', 'Set-Cookie: a=b', 'Server: provider',
    'openai-organization: org-internal', 'X-Accel-Limit-Rate: 1' ]));

# ---- request out ----------------------------------------------------------------

my $body = '{ "model" : "small", "messages":[{"role":"user","content":"Grüße \u00e9 \\" {"}],'
    . "\n \"unknown\": {\"big\": 12345678901234567890123, \"e\": 1e400}, \"temperature\":0.10 }";
my $r = $gw->http(POST => '/v1/chat/completions', {
    Authorization => 'Bearer sk-the-clients-own', Cookie => 'session=1',
    'X-Internal' => 'yes', Accept => 'application/json', traceparent => '00-1-2-01',
    'Idempotency-Key' => 'idem-1', 'openai-beta' => 'x=1',
    'x-api-key' => 'theirs', 'X-Forwarded-For' => '1.2.3.4',
}, $body);

is($r->status, 200, 'answered');
is($r->json->{choices}[0]{message}{content}, 'Hello.', 'with the provider\'s text');
like($r->header('content-type'), qr{^application/json}, 'JSON');

my $q = last_seen();
is($q->{path}, '/a/v1/chat/completions', 'path behind base_url');
is($q->{method}, 'POST', 'method');
is($q->{body}, $body =~ s/"small"/"vendor\/small-1"/r, 'only the model name changed');
is($q->{h}{'content-length'}, length $q->{body}, 'length fits');
is($q->{h}{authorization}, 'Bearer sk-alpha-00001', 'the provider\'s own key');
is($q->{h}{host}, '127.0.0.1:' . $up->port, 'Host of the provider');
is($q->{h}{'x-title'}, 'clinic', 'configured header');
is($q->{h}{'idempotency-key'}, 'idem-1', 'Idempotency-Key passes');
is($q->{h}{traceparent}, '00-1-2-01', 'traceparent passes');
is($q->{h}{'openai-beta'}, 'x=1', 'openai-beta passes');
is($q->{h}{$_}, undef, "no $_") for qw(cookie x-internal x-api-key x-forwarded-for expect te);
is(scalar(grep { lc $_->[0] eq 'authorization' } @{ $q->{headers} }), 1, 'one Authorization');

# ---- answer in ------------------------------------------------------------------

is($r->header('x-llm-provider'), 'a', 'x-llm-provider');
is($r->header('x-llm-model'), 'small', 'x-llm-model') or diag $r->head;
is($r->header('x-llm-attempts'), 1, 'x-llm-attempts');
is($r->header('x-llm-fallbacks') // 0, 0, 'x-llm-fallbacks');
ok($r->header('x-llm-request-id'), 'x-llm-request-id');
is($r->header('x-llm-key'), undef, 'the key\'s name only with "all"');
is($r->header('x-llm-error'), undef, 'no x-llm-error on success');
is($r->header($_), undef, "no $_ of the provider") for qw(set-cookie openai-organization x-accel-limit-rate);
unlike($r->header('server') // '', qr/provider/, 'not the provider\'s Server');

my @f = split /\|/, log_line('/v1/chat/completions');
is($f[1], 'small', '$llm_model');
is($f[3], 'a', '$llm_provider');
is($f[4], 'vendor/small-1', '$llm_target_model');
is($f[5], 'first', '$llm_key');
is($f[6], 1, '$llm_attempts');
is($f[7], 0, '$llm_fallbacks');
like($f[9], qr/^-?$/, '$llm_error');
is($f[10], 11, '$llm_input_tokens');
is($f[12], 3, '$llm_output_tokens');
like($f[13], qr/^0?\.?0*10*$|^0\.00001/, '$llm_cost: 11 x 0.5 + 3 x 1.5 dollars per million');
like($f[14], qr/^\d+(\.\d+)?$/, '$llm_ttft');
like($f[15], qr/^\d+(\.\d+)?$/, '$llm_overhead');

$r = chat($gw, 'ignored', path => '/small/v1/chat/completions');
is($r->header('x-llm-key'), 'first', '"all" names the key');
ok(defined $r->header('x-llm-cost'), '... and the cost');
is(last_seen()->{model}, 'vendor/small-1', 'a model named by llm_pass wins');

$r = chat($gw, 'any/name', path => '/a/v1/chat/completions');
is(last_seen()->{model}, 'any/name', 'a provider as target: the client\'s name unchanged');
is($r->header('x-llm-provider'), undef, '"id" leaves the route out');
ok($r->header('x-llm-request-id'), '... but not the id');

$r = chat($gw, 'x', path => '/quiet/v1/chat/completions');
unlike($r->head, qr/^x-llm-/mi, '"off" leaves all out');

$r = chat($gw, 'chain');
is(last_seen()->{path}, '/a/v1/chat/completions', 'a route by $llm_model');
my $line = log_line('/v1/chat/completions');
like($line, qr/\|chain\|chain\|a\|/, '$llm_route');

chat($gw, 'x', path => '/theirs/v1/chat/completions', headers => { Authorization => 'Bearer sk-own' });
is(last_seen()->{key}, 'sk-own', 'key client: the caller\'s own');
chat($gw, 'x', path => '/nokey/v1/chat/completions', headers => { Authorization => 'Bearer sk-own' });
is(last_seen()->{key}, undef, 'no key: none is sent, not the caller\'s either');
chat($gw, 'x', path => '/fixed');
is(last_seen()->{path}, '/a/v1/chat/completions', 'llm_endpoint names the endpoint');
$r = $gw->http(POST => '/pass/v1/some/thing?x=1', {}, 'not json');
is($r->status, 200, 'passthrough');
is(last_seen()->{body}, 'not json', '... unscanned');

# ---- a body without a model, escaped names, other endpoints ----------------------

$r = $gw->http(POST => '/small/v1/chat/completions', {}, '{"messages":[]}');
is($r->status, 200, 'model added where the client sent none');
is(from_json(last_seen()->{body})->{model}, 'vendor/small-1', '... with the id');

$r = $gw->http(POST => '/v1/chat/completions', {}, '{"mod\u0065l":"sm\u0061ll","messages":[]}');
is($r->status, 200, 'an escaped name is the same name') or diag $r->body;
is(from_json(last_seen()->{body})->{model}, 'vendor/small-1', '... replaced');

$up->on('/a/v1/embeddings' => [ [ json => fixture_text('openai/embeddings.response.json') ] ]);
$r = $gw->http(POST => '/v1/embeddings', {}, '{"model":"small","input":"x"}');
is_deeply($r->json, from_json(fixture_text('openai/embeddings.response.json')), 'embeddings');
is(last_seen()->{path}, '/a/v1/embeddings', '... path');

$up->on('/a/v1/responses*' => [ [ json => fixture_text('openai/responses.response.json') ] ]);
$r = $gw->http(POST => '/v1/responses', {}, '{"model":"small","input":"x"}');
is($r->json->{object}, 'response', 'responses');
$r = $gw->http(GET => '/a/v1/responses/resp_1');
is(last_seen()->{path}, '/a/v1/responses/resp_1', 'what follows the endpoint is kept');
is(last_seen()->{method}, 'GET', '... with its method');

$up->on('/a/v1/completions' => [ [ json => '{"id":"c","object":"text_completion","choices":[{"index":0,"text":"t","finish_reason":"stop"}]}' ] ]);
$r = $gw->http(POST => '/v1/completions', {}, '{"model":"small","prompt":"x"}');
is($r->json->{choices}[0]{text}, 't', 'completions');

$up->on('/a/v1/audio/speech' => [ [ header => 'Content-Type: audio/mpeg' ], [ 'body-file', fixture('audio/hello.mp3') ] ]);
$r = $gw->http(POST => '/v1/audio/speech', {}, '{"model":"small","input":"x","voice":"y"}');
is($r->body, do { local $/; open my $f, '<:raw', fixture('audio/hello.mp3'); <$f> }, 'speech: the audio, byte for byte');
like($r->header('content-type'), qr{^audio/mpeg}, '... and its type');

$r = $gw->get('/v1/models');
is($r->status, 200, 'model list');
is_deeply([ sort map { $_->{id} } @{ $r->json->{data} } ], [ qw(chain other small) ],
          'models and routes, nothing internal, no providers') or diag $r->body;
$up->on('/a/v1/models' => [ [ json => fixture_text('openai/models.response.json') ] ]);
$r = $gw->get('/a/v1/models');
is_deeply($r->json, from_json(fixture_text('openai/models.response.json')),
          'where llm_pass names a provider: its own list');

# ---- keepalive to the provider ---------------------------------------------------

my %conns = map { $_->{conn} => 1 } grep { $_->{path} =~ m{^/a/} } $up->received;
is(scalar keys %conns, 1, 'one connection served them all');

# ---- a 5 MB body, HTTP/1.0, HTTP/2 ----------------------------------------------

my $big = '{"messages":[{"role":"user","content":"' . ('lorem ipsum ' x 430_000) . '"}],"model":"small"}';
$r = $gw->http(POST => '/v1/chat/completions', {}, $big);
is($r->status, 413, 'client_max_body_size holds');
is($r->json->{error}{type}, 'invalid_request_error', '... with an error in JSON') or diag $r->wire;

finish();
