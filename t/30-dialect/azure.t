# Azure as a provider, both of its APIs; and clients of Azure in front of any
# provider.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'azalpha0000000000001', KEY_B => 'azbeta00000000000002' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$request_id|$llm_input_tokens|$llm_output_tokens|$llm_status_class|$llm_model';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_key_pool two { select in_order; key env:KEY_A; key env:KEY_B; }
    llm_provider old { dialect azure; base_url http://127.0.0.1:%%UP%%/openai; keys k; breaker off; }
    llm_provider dated { dialect azure; base_url http://127.0.0.1:%%UP%%/apim; api_version 2025-04-01-preview; keys k; breaker off; }
    llm_provider v1 { dialect azure; base_url http://127.0.0.1:%%UP%%/openai/v1/; keys k; breaker off; }
    llm_provider next { dialect azure; base_url http://127.0.0.1:%%UP%%/openai/v1; api_version preview; keys k; breaker off; }
    llm_provider pool { dialect azure; base_url http://127.0.0.1:%%UP%%/pool/openai; keys two; breaker off; }
    llm_provider chats { dialect azure; base_url http://127.0.0.1:%%UP%%/openai; keys k; breaker off; native off; }
    llm_provider own { dialect azure; base_url http://127.0.0.1:%%UP%%/own/openai; key client; breaker off; }
    llm_provider o { dialect openai; base_url http://127.0.0.1:%%UP%%/o/v1; keys k; breaker off; }
    llm_provider a { dialect anthropic; base_url http://127.0.0.1:%%UP%%/a; keys k; breaker off; }
    llm_model m { provider old; id gpt-4.1-mini; }
    llm_model east { provider old; id gpt-5-mini; deployment "prod east"; }
    llm_model east-v1 { provider v1; id gpt-5-mini; deployment prod-east; }
    llm_model dated-m { provider dated; id d; }
    llm_model v1-m { provider v1; id d; }
    llm_model next-m { provider next; id d; }
    llm_model pooled { provider pool; id d; }
    llm_model chats-m { provider chats; id gpt-5-mini; deployment d; }
    llm_model mine { provider own; id d; }
    llm_model o-m { provider o; id gpt; }
    llm_model a-m { provider a; id claude; }
    llm_model qwen/q-2 { provider o; id qwen; }
    llm_route both { target m; target o-m; }
    llm_route careful { target m; target o-m on=content_filter; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        llm_retry off;
        location /v1/ { llm_pass $llm_model; }
        location /again/ { llm_retry 2 backoff=1ms..2ms; llm_pass $llm_model; }
        location /old/ { llm_pass old; }
        location /fresh/ { llm_pass v1; }
        location /plain/ { llm_pass o; }
        location /openai/ { llm_pass $llm_model; }
        location /raw/ { llm_endpoint passthrough; llm_pass old; }
    }
EOC

my @hi = (messages => [ { role => 'user', content => 'Hi' } ]);
my $chat = [ [ json => fixture_text('azure/chat.response.json') ] ];
my $audio = '--b' . join('--b', map { qq(\r\nContent-Disposition: form-data; name="$_->[0]"$_->[1]\r\n\r\n$_->[2]\r\n) }
    [ model => '', 'm' ], [ file => '; filename="a.wav"', 'RIFF' ]) . "--b--\r\n";

# one request, one answer: (response, what went out)
sub ask {
    my ($method, $path, $body, %o) = @_;
    $up->reset;
    $up->on('/*' => $o{script} // $chat);
    my $r = $gw->http($method => $path, { 'Content-Type' => 'application/json', %{ $o{headers} || {} } }, $body);
    my ($q) = $up->received;
    return ($r, $q);
}
sub post { my ($path, $body, %o) = @_; return ask(POST => $path, to_json($body), %o) }
sub sent { my ($q) = @_; return $q ? $q->{path} : 'nothing' }

# ---- paths, versions, keys ----------------------------------------------------

my ($r, $q) = post('/v1/chat/completions?api-version=1999-01-01', { model => 'm', @hi, stream => JSON::PP::false() },
    headers => { 'api-key' => 'theirs', Authorization => 'Bearer theirs' });
is($r->status, 200, 'served');
is(sent($q), '/openai/deployments/gpt-4.1-mini/chat/completions?api-version=2024-10-21', 'the deployment in the path, the version in the query');
is($q->{h}{'api-key'}, 'azalpha0000000000001', 'the key in api-key');
is($q->{h}{authorization}, undef, 'no Authorization');
is($q->{body}, '{"messages":[{"content":"Hi","role":"user"}],"model":"gpt-4.1-mini","stream":false}', 'spliced');
is($r->body, fixture_text('azure/chat.response.json'), 'and so is the answer');

for my $t (
    [ '/v1/chat/completions', 'east', '/openai/deployments/prod%20east/chat/completions?api-version=2024-10-21', 'a deployment of another name' ],
    [ '/v1/chat/completions', 'dated-m', '/apim/openai/deployments/d/chat/completions?api-version=2025-04-01-preview', 'api_version; /openai is added' ],
    [ '/v1/chat/completions', 'v1-m', '/openai/v1/chat/completions', 'v1' ],
    [ '/v1/chat/completions', 'next-m', '/openai/v1/chat/completions?api-version=preview', 'v1 with a version' ],
    [ '/v1/completions', 'm', '/openai/deployments/gpt-4.1-mini/completions?api-version=2024-10-21', 'completions' ],
    [ '/v1/embeddings', 'm', '/openai/deployments/gpt-4.1-mini/embeddings?api-version=2024-10-21', 'embeddings' ],
    [ '/v1/audio/speech', 'm', '/openai/deployments/gpt-4.1-mini/audio/speech?api-version=2024-10-21', 'speech' ],
    [ '/v1/images/generations', 'm', '/openai/deployments/gpt-4.1-mini/images/generations?api-version=2024-10-21', 'images' ],
    [ '/v1/responses', 'm', '/openai/responses?api-version=2024-10-21', 'responses are of the resource' ],
    [ '/v1/batches', 'm', '/openai/batches?api-version=2024-10-21', 'and batches' ],
    [ '/v1/responses', 'v1-m', '/openai/v1/responses', 'responses of v1' ],
    [ '/old/chat/completions', '../x?y#z/', '/openai/deployments/..%2Fx%3Fy%23z%2F/chat/completions?api-version=2024-10-21', 'odd names stay inside' ],
) {
    my ($path, $model, $want, $name) = @$t;
    ($r, $q) = post($path, { model => $model, input => 'x', @hi });
    is(sent($q), $want, $name);
}

($r, $q) = ask(POST => '/v1/audio/transcriptions', $audio, script => [ [ json => '{"text":"x"}' ] ], headers => { 'Content-Type' => 'multipart/form-data; boundary=b' });
is(sent($q), '/openai/deployments/gpt-4.1-mini/audio/transcriptions?api-version=2024-10-21', 'speech to text');
like($q->{body}, qr/name="model"\r\n\r\ngpt-4\.1-mini\r\n/, '... spliced');

($r, $q) = post('/v1/realtime/sessions?api-version=1&deployment=another&x=1', { session => { model => 'east' } });
is(sent($q), '/openai/realtime/sessions?api-version=2024-10-21&deployment=prod%20east&x=1', 'sessions: neither version nor deployment is the client\'s');

my $list = [ [ json => '{"object":"list","data":[]}' ] ];
for my $t (
    [ '/old/models', '/openai/models?api-version=2024-10-21' ],
    [ '/old/files?purpose=batch&api-version=1&limit=3', '/openai/files?api-version=2024-10-21&purpose=batch&limit=3' ],
    [ '/old/files?api-key=theirs&api-version=1', '/openai/files?api-version=2024-10-21' ],
    [ '/fresh/files?api-version=1', '/openai/v1/files' ],
    [ '/fresh/files?api-version=1&limit=3', '/openai/v1/files?limit=3' ],
    [ '/old/chat/completions/c-1?x=y', '/openai/chat/completions/c-1?api-version=2024-10-21&x=y' ],
    [ '/plain/files?api-version=1&limit=3', '/o/v1/files?limit=3' ],
    [ '/raw/anything?api-version=1&key=theirs', '/openai/anything?api-version=1' ],
) {
    ($r, $q) = ask(GET => $t->[0], undef, script => $list);
    is(sent($q), $t->[1], "GET $t->[0]");
    is($r->status, 200, '... answered');
}

($r, $q) = post('/v1/chat/completions', { model => 'mine', @hi }, headers => { 'api-key' => 'theirs' });
is($q->{h}{'api-key'}, 'theirs', 'key client: their api-key');
($r, $q) = post('/v1/chat/completions', { model => 'mine', @hi }, headers => { Authorization => 'Bearer entra' });
is($q->{h}{authorization}, 'Bearer entra', '... or their token');
($r, $q) = post('/v1/chat/completions', { model => 'o-m', @hi }, headers => { 'api-key' => 'theirs' });
is($q->{h}{'api-key'}, undef, 'nobody else gets it');

# ---- Messages, Responses --------------------------------------------------------

for my $t ([ 'm', 'gpt-4.1-mini', 'max_tokens' ], [ 'east', 'prod east', 'max_completion_tokens' ], [ 'east-v1', 'prod-east', 'max_completion_tokens' ]) {
    my ($model, $name, $limit) = @$t;
    ($r, $q) = post('/v1/messages', { model => $model, max_tokens => 9, @hi });
    is($r->status, 200, "Messages to $model");
    is($r->json->{content}[0]{text}, 'Hi.', '... answered');
    my $body = from_json($q->{body});
    is($body->{model}, $name, '... the name there');
    is($body->{$limit}, 9, '... and words for the model that it is');
}
is(sent($q), '/openai/v1/chat/completions', '... path');

($r, $q) = post('/v1/responses', { model => 'chats-m', max_output_tokens => 9, input => 'Hi' });
is($r->json->{object}, 'response', 'Responses where an API is older than they are');
is(sent($q), '/openai/deployments/d/chat/completions?api-version=2024-10-21', '... a chat');
is(from_json($q->{body})->{max_completion_tokens}, 9, '... in words for the model that it is');

# ---- answers and refusals -------------------------------------------------------

($r, $q) = post('/v1/chat/completions', { model => 'm', @hi, stream => JSON::PP::true(), stream_options => { include_usage => JSON::PP::true() } },
    script => [ [ slice => '7 0' ], [ 'sse-file', fixture('azure/chat.stream.sse') ] ]);
is($r->body, fixture_text('azure/chat.stream.sse'), 'a stream, its filter results in front');
($r, $q) = post('/v1/messages', { model => 'm', max_tokens => 9, @hi, stream => JSON::PP::true() }, script => [ [ 'sse-file', fixture('azure/chat.stream.sse') ] ]);
like($r->body, qr/"text":"Hi\."/, '... and behind Messages');
like($r->body, qr/event: message_stop/, '... to its end');

# with asynchronous filters annotations come late, and alone
my $late = join '', map { "data: $_\n\n" } '{"id":"c","object":"chat.completion.chunk","created":1,"model":"g","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi."},"finish_reason":null}]}',
    '{"id":"","object":"","created":0,"model":"","choices":[{"index":0,"finish_reason":null,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}},"content_filter_offsets":{"check_offset":1,"start_offset":1,"end_offset":4}}]}',
    '{"id":"c","object":"chat.completion.chunk","created":1,"model":"g","choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}', '[DONE]';
($r, $q) = post('/v1/chat/completions', { model => 'm', @hi, stream => JSON::PP::true() }, script => [ [ begin => '' ], [ chunk => $late ], [ end => '' ] ]);
is($r->body, $late, 'annotations in the middle');
($r, $q) = post('/v1/messages', { model => 'm', max_tokens => 9, @hi, stream => JSON::PP::true() }, script => [ [ begin => '' ], [ chunk => $late ], [ end => '' ] ]);
like($r->body, qr/"stop_reason":"refusal"/, '... and behind Messages');

sub refused { my ($file, $model) = @_; return post('/v1/chat/completions', { model => $model // 'm', @hi }, script => [ [ 'http-file', fixture("azure/$file.http") ] ]) }

($r) = refused('error.400-content-filter');
is($r->status, 400, 'a filtered prompt');
is($r->header('x-llm-error'), 'caller_content_filter', '... by its class');
is($r->json->{error}{code}, 'content_filter', '... in their words');
is($r->json->{error}{innererror}{code}, 'ResponsibleAIPolicyViolation', '... all of them');
($r) = refused('error.401');
is($r->status, 502, 'our key');
unlike($r->body, qr/subscription key/, '... is our affair');
($r) = refused('error.404-deployment');
is($r->header('x-llm-error'), 'provider_auth', 'a deployment that is not there');
($r) = refused('error.429');
is($r->status, 429, 'limited');
is($r->header('retry-after'), 6, '... for as long as they say');

for my $t ([ 'both', 'error.404-deployment' ], [ 'both', 'error.429' ], [ 'careful', 'error.400-content-filter' ]) {
    my ($route, $file) = @$t;
    $up->reset;
    $up->on('/openai/*' => [ [ 'http-file', fixture("azure/$file.http") ] ]);
    $up->on('/o/*' => [ [ json => fixture_text('openai/chat.response.json') ] ]);
    $r = $gw->post('/v1/chat/completions', to_json({ model => $route, @hi }));
    is($r->header('x-llm-model'), 'o-m', "$file: the next target");
}

$up->reset;
$up->on({ path => '/pool/*' } => [ [ 'http-file', fixture('azure/error.429.http') ] ], $chat);
$r = $gw->post('/again/chat/completions', to_json({ model => 'pooled', @hi }));
is($r->status, 200, 'limited: another key');
is(join(' ', map { $_->{h}{'api-key'} } $up->received), 'azalpha0000000000001 azbeta00000000000002', '... at once');

# ---- clients of Azure -----------------------------------------------------------

$up->reset;
for my $t (
    [ 'm', { @hi }, '/openai/deployments/gpt-4.1-mini/chat/completions?api-version=2024-10-21', 'gpt-4.1-mini' ],
    [ 'o-m', { @hi }, '/o/v1/chat/completions', 'gpt' ],
    [ 'o-m', { @hi, model => '' }, '/o/v1/chat/completions', 'gpt' ],
    [ 'o-m', { @hi, model => undef }, '/o/v1/chat/completions', 'gpt' ],
    [ 'o-m', { @hi, model => 'm' }, '/o/v1/chat/completions', 'gpt' ],
    [ 'qwen/q-2', { @hi }, '/o/v1/chat/completions', 'qwen' ],
) {
    my ($name, $body, $want, $model) = @$t;
    ($r, $q) = post("/openai/deployments/$name/chat/completions?api-version=2024-10-21", $body, headers => { 'api-key' => 'theirs' });
    is(sent($q), $want, "deployment $name, body " . to_json($body->{model}));
    is(from_json($q->{body})->{model}, $model, '... is the model');
    is($q->{h}{'api-key'} // 'none', $want =~ /deployments/ ? 'azalpha0000000000001' : 'none', '... without their key');
}
($r, $q) = post('/plain/deployments/gpt-x/embeddings', { input => 'x' });
is(from_json($q->{body})->{model}, 'gpt-x', 'to a provider: the name as it is');
($r, $q) = post('/openai/deployments/a-m/chat/completions', { @hi }, script => [ [ json => fixture_text('anthropic/messages.response.json') ] ]);
is(sent($q), '/a/v1/messages', 'another dialect');
is(from_json($q->{body})->{model}, 'claude', '... and its model');
is($r->json->{object}, 'chat.completion', '... answered in OpenAI\'s');
my @f = split /\|/, wait_for(sub { my $id = $r->header('x-id'); (grep { /^\Q$id\E/ } split /\n/, $gw->access('llm.log'))[0] });
is($f[4], 'a-m', '$llm_model');
($r) = post('/openai/deployments/nobody/chat/completions', { @hi });
is($r->status, 404, 'an unknown deployment');
is($r->json->{error}{code}, 'model_not_found', '... is an unknown model');
($r) = post('/openai/deployments/' . ('x' x 300) . '/chat/completions', { @hi });
is($r->json->{error}{code}, 'model_not_found', 'a very long one');
($r) = post('/openai/deployments/a%0ab/chat/completions', { @hi });
is($r->status, 404, 'control characters');
($r) = post('/openai/deployments//chat/completions', { @hi });
is($r->status, 400, 'no name at all');
is($r->header('x-llm-error'), 'caller_model_missing', '... is told so');

finish;
