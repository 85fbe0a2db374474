# OpenAI's chat in front of an Anthropic provider: what goes out, what comes
# back, whole and event by event.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-ant-alpha-0001', KEY_B => 'sk-ant-beta-00001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$request_id|$llm_input_tokens|$llm_cached_tokens|$llm_output_tokens|$llm_error|$llm_status_class|$llm_cost';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool two { select in_order; key env:KEY_A; key env:KEY_B; }
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider a { dialect anthropic; base_url http://127.0.0.1:%%UP%%; keys k; breaker off; }
    llm_provider v { dialect anthropic; version 2026-10-21; base_url http://127.0.0.1:%%UP%%/v1; key env:KEY_A; breaker off; }
    llm_provider p { dialect anthropic; base_url http://127.0.0.1:%%UP%%/pool; keys two; breaker off; }
    llm_provider own { dialect anthropic; base_url http://127.0.0.1:%%UP%%; key client; breaker off; }
    llm_provider o { dialect openai; base_url http://127.0.0.1:%%UP%%/o; key env:KEY_A; breaker off; }
    llm_model m { provider a; id claude-sonnet-5; price input=3 output=15; }
    llm_model old { provider a; id claude-sonnet-4-5; }
    llm_model older { provider a; id claude-3-5-haiku-20241022; }
    llm_model new { provider v; id claude-sonnet-5; }
    llm_model pooled { provider p; id claude-sonnet-5; }
    llm_model mine { provider own; id claude-sonnet-5; }
    llm_model other { provider o; id gpt; }
    llm_route mixed { target m; target other; }
    client_max_body_size 8m;
    llm_prompt rate { user "{text}"; answer json; }
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Id $request_id always;
        location /v1/ { llm_retry off; llm_pass $llm_model; }
        location /rate { llm_retry off; llm_analyze rate; llm_pass m; }
        location /claude/ { llm_retry off; llm_pass a; }
        location /native/ { llm_pass a; llm_endpoint passthrough; }
        location /again/ { llm_retry 2 backoff=10ms..20ms; llm_pass $llm_model; }
    }
EOC

my $true = JSON::PP::true();
my $false = JSON::PP::false();

sub file { from_json(fixture_text($_[0])) }
sub json { [ [ json => fixture_text("anthropic/$_[0]") ] ] }

# sends a chat request, answers with a fixture; (response, what went out)
sub ask {
    my ($body, $script) = @_;
    $up->reset;
    $up->on('/*' => $script // json('messages.response.json'));
    my $r = $gw->post('/v1/chat/completions', to_json($body));
    my ($q) = $up->received;
    return ($r, $q, $q && from_json($q->{body}));
}

sub logged {
    my ($r) = @_;
    my $id = $r->header('x-id');
    my $line = wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] });
    return split /\|/, $line // '', -1;
}

my @hi = (messages => [ { role => 'user', content => 'Hi' } ]);

# ---- the head -------------------------------------------------------------------

my ($r, $q, $out) = ask({ model => 'm', @hi });
is($r->status, 200, 'served');
is($q->{path}, '/v1/messages', 'path: /v1 is added');
is($q->{h}{'x-api-key'}, 'sk-ant-alpha-0001', 'key in x-api-key');
is($q->{h}{authorization}, undef, 'no Authorization');
is($q->{h}{'anthropic-version'}, '2023-06-01', 'version');
is($q->{h}{'content-type'}, 'application/json', 'JSON');
is_deeply($out, { model => 'claude-sonnet-5', max_tokens => 4096,
    messages => [ { role => 'user', content => [ { type => 'text', text => 'Hi' } ] } ] }, 'the smallest request');

($r, $q) = ask({ model => 'new', @hi, temperature => 0.5, top_p => 0.9 });
is($q->{path}, '/v1/messages', '/v1 of base_url is not doubled');
is($q->{h}{'anthropic-version'}, '2026-10-21', 'version of the provider');
is(from_json($q->{body})->{temperature}, undef, 'that version takes no sampling');
is($r->header('x-llm-dropped'), 'temperature, top_p', '... and the client is told');
($r, $q) = ask({ model => 'm', @hi, temperature => 0.5, top_k => 9 });
is($r->header('x-llm-dropped'), 'temperature, top_k', 'nor do models after 4.6, whatever the version');
is_deeply([ @{ from_json($q->{body}) }{qw(temperature top_k)} ], [ undef, undef ], '... none goes out');

$up->reset;
$up->on('/*' => json('messages.response.json'));
$r = $gw->http(POST => '/v1/chat/completions',
    { 'x-api-key' => 'sk-ant-of-the-client', 'anthropic-version' => '2099-01-01', 'anthropic-beta' => 'x' }, to_json({ model => 'mine', @hi }));
($q) = $up->received;
is($q->{h}{'x-api-key'}, 'sk-ant-of-the-client', 'key client: x-api-key');
is($q->{h}{'anthropic-version'}, '2023-06-01', 'the version is ours where we translate');

# ---- requests -------------------------------------------------------------------

($r, $q, $out) = ask({ model => 'old', max_completion_tokens => 64, max_tokens => 9, temperature => 1.7, stop => [ 'END', ' ', "\n" ],
    user => 'u-1', top_k => 5, seed => 7, logprobs => $false, service_tier => 'default', presence_penalty => 0,
    frequency_penalty => 0.5, metadata => { a => 'b' }, n => 1,
    messages => [ { role => 'system', content => 'One.' }, { role => 'user', content => 'Hi' },
                  { role => 'developer', content => [ { type => 'text', text => 'Two.', cache_control => { type => 'ephemeral' } } ] },
                  { role => 'assistant', content => '' }, { role => 'user', content => [ { type => 'text', text => '' }, { type => 'text', text => 'Ho' } ] } ] });
is_deeply($out, { model => 'claude-sonnet-4-5', max_tokens => 64, temperature => 1, stop_sequences => [ 'END' ],
    metadata => { user_id => 'u-1' }, top_k => 5, service_tier => 'standard_only',
    system => [ { type => 'text', text => 'One.' }, { type => 'text', text => 'Two.', cache_control => { type => 'ephemeral' } } ],
    messages => [ { role => 'user', content => [ { type => 'text', text => 'Hi' }, { type => 'text', text => 'Ho' } ] } ] },
    'roles, limits, stops, sampling') or diag explain $out;
is(join(' ', sort split /, /, $r->header('x-llm-dropped')), 'frequency_penalty metadata seed', 'what was left out');

my $conversation = file('openai/chat.tool-result.request.json');
($r, $q, $out) = ask({ %$conversation, model => 'm' });
is_deeply($out->{messages}, [
    { role => 'user', content => [ { type => 'text', text => 'How many A-9 do we have in the north depot, and B-2?' } ] },
    { role => 'assistant', content => [
        { type => 'tool_use', id => 'call_fxA9', name => 'stock_level', input => { sku => 'A-9', depot => 'north' } },
        { type => 'tool_use', id => 'call_fxB2', name => 'stock_level', input => { sku => 'B-2' } } ] },
    { role => 'user', content => [
        { type => 'tool_result', tool_use_id => 'call_fxA9', content => '{"units":17}' },
        { type => 'tool_result', tool_use_id => 'call_fxB2', content => 'none' } ] } ], 'a round of tools');
is_deeply($out->{tools}, file('anthropic/messages.tools.request.json')->{tools}, 'tools');

my @tools = (tools => [ { type => 'function', function => { name => 'f' } } ]);
for ([ 'auto', { type => 'auto' } ], [ 'none', { type => 'none' } ], [ 'required', { type => 'any' } ],
     [ { type => 'function', function => { name => 'f' } }, { type => 'tool', name => 'f' } ])
{
    my ($choice, $want) = @$_;
    ($r, $q, $out) = ask({ model => 'm', @hi, @tools, tool_choice => $choice });
    is_deeply($out->{tool_choice}, $want, 'tool_choice ' . to_json($choice));
}
is_deeply($out->{tools}, [ { name => 'f', input_schema => { type => 'object', properties => {} } } ], 'a tool without parameters');
($r, $q, $out) = ask({ model => 'm', @hi, @tools, parallel_tool_calls => $false });
is_deeply($out->{tool_choice}, { type => 'auto', disable_parallel_tool_use => $true }, 'one call at a time');
($r, $q, $out) = ask({ model => 'm', @hi, tools => [], tool_choice => 'auto' });
ok(!exists $out->{tools} && !exists $out->{tool_choice}, 'no tools, no choice');

($r, $q, $out) = ask({ %{ file('openai/chat.image.request.json') }, model => 'm' });
my ($image) = grep { $_->{type} eq 'image' } @{ $out->{messages}[0]{content} };
is_deeply($image, file('anthropic/messages.image.request.json')->{messages}[0]{content}[0], 'an image in base64');
($r, $q, $out) = ask({ %{ file('openai/chat.image-url.request.json') }, model => 'm' });
($image) = grep { $_->{type} eq 'image' } @{ $out->{messages}[0]{content} };
is($image->{source}{type}, 'url', 'an image by URL');
like($image->{source}{url}, qr{^https://}, '... its URL');

($r, $q, $out) = ask({ %{ file('openai/chat.json-schema.request.json') }, model => 'm' });
is_deeply($out->{output_config}{format}, { type => 'json_schema',
    schema => file('openai/chat.json-schema.request.json')->{response_format}{json_schema}{schema} }, 'a JSON schema');
($r, $q, $out) = ask({ model => 'm', @hi, response_format => { type => 'json_object' } });
like($out->{system}[0]{text}, qr/JSON object/, 'JSON mode is an instruction');
($r, $q, $out) = ask({ %{ file('openai/chat.json-schema.request.json') }, model => 'older' }, json('messages.json-schema.response.json'));
is($out->{output_config}, undef, 'a JSON schema for a model without structured outputs');
is_deeply(from_json($out->{system}[-1]{text} =~ s/\A.*?\n\n//sr),
    file('openai/chat.json-schema.request.json')->{response_format}{json_schema}{schema}, '... stands in the instructions');
is($r->header('x-llm-dropped'), undef, '... which is no loss');
is(ref from_json($r->json->{choices}[0]{message}{content}), 'HASH', '... and is answered');

($r, $q, $out) = ask({ model => 'm', @hi, reasoning_effort => 'high', temperature => 0.2 });
is_deeply([ $out->{thinking}, $out->{output_config} ], [ { type => 'adaptive' }, { effort => 'high' } ], 'effort');
is($out->{temperature}, undef, 'no temperature beside thinking');
($r, $q, $out) = ask({ model => 'old', @hi, reasoning_effort => 'medium', max_tokens => 500 });
is_deeply($out->{thinking}, { type => 'enabled', budget_tokens => 2048 }, 'a budget for older models');
is($out->{max_tokens}, 2548, '... beside the answer');

($r, $q, $out) = ask({ model => 'm', messages => [ { role => 'user', content => '17*23?' },
    { role => 'assistant', content => '391', thinking_blocks => [ { type => 'thinking', thinking => 't', signature => 's' } ] },
    { role => 'user', content => 'Sure?' }, { role => 'assistant', content => "Yes, \n " } ] });
is_deeply($out->{messages}[1]{content}, [ { type => 'thinking', thinking => 't', signature => 's' }, { type => 'text', text => '391' } ],
    'thinking goes back signed, and first');
is($out->{messages}[3]{content}[0]{text}, 'Yes,', 'no white space at the end of a beginning');

# bytes and numbers stay what they are
$up->reset;
$up->on('/*' => json('messages.response.json'));
my $odd = '"\u0000\ud83d\ude00\ud800 \"\\\\ \/ \u00e9 ü"';
$r = $gw->post('/v1/chat/completions', '{"model":"old","temperature":0.70000000000000001,"messages":[{"role":"user","content":' . $odd
    . '},{"role":"assistant","tool_calls":[{"id":"a:b","type":"function","function":{"name":"f","arguments":"{\"n\":12345678901234567890,\"e\":1e400,\"s\":\"\\\\u0000\"}"}}]},'
    . '{"role":"tool","tool_call_id":"a:b","content":"x"}]}');
($q) = $up->received;
like($q->{body}, qr/"text":\Q$odd\E/, 'escapes, surrogates and NUL are copied');
like($q->{body}, qr/"temperature":0\.70000000000000001\b/, 'numbers are copied');
like($q->{body}, qr/"input":\{"n":12345678901234567890,"e":1e400,"s":"\\u0000"\}/, 'arguments become an object, digit by digit');
is(join(' ', $q->{body} =~ /"(?:id|tool_use_id)":"([^"]*)"/g), 'a_3ab a_3ab', 'a foreign id');

# what it cannot be asked for: another target, or a 400
for ([ n => 2 ], [ modalities => [ 'text', 'audio' ] ]) {
    ($r) = ask({ model => 'm', @hi, @$_ });
    is($r->status, 400, "$_->[0]: refused");
    is($r->header('x-llm-error'), 'caller_unsupported', '... as unsupported');
    is(from_json($r->body)->{error}{param}, $_->[0], '... by name');
    is($up->count, 0, '... and not sent');
}
($r) = ask({ %{ file('openai/chat.audio.request.json') }, model => 'm' });
is($r->status, 400, 'audio: refused');
$up->reset;
$up->on('/o/*' => [ [ json => fixture_text('openai/chat.response.json') ] ]);
$r = $gw->post('/v1/chat/completions', to_json({ model => 'mixed', @hi, n => 2 }));
is($r->status, 200, 'n=2: the next target can');
is($r->header('x-llm-model'), 'other', '... and did');
$r = $gw->post('/v1/chat/completions', '{"model":"m","messages":"Hi"}');
is($r->status, 400, 'messages is no array');
$r = $gw->post('/v1/embeddings', to_json({ model => 'm', input => 'x' }));
is($r->status, 400, 'an endpoint that it does not have');
is($r->header('x-llm-error'), 'caller_unsupported', '...');

# ---- reasoning of others in a spliced conversation ---------------------------------

my $pad = 'x' x 20_000;
my $spliced = sub {
    my ($blocks, $after) = @_;
    return qq({"model":"claude-sonnet-5","max_tokens":9,"messages":[{"role":"user","content":"$pad"},{"role":"assistant","content":[$blocks]},)
        . qq({"role":"user", "content":"b"}],"metadata":{"n":1.50}});
};
my ($own, $foreign, $say) = ('{"type":"thinking","thinking":"t","signature":"s"}', '{"type":"thinking","thinking":"t","signature":""}',
    '{"type":"text","text":"c"}');
for ([ 'claude-sonnet-5', "$foreign,$say", $say ], [ 'claude-sonnet-5', "$own,$say", "$own,$say" ], [ 'claude-sonnet-5', qq($foreign, $own,$say), "$own,$say" ],
     [ 'deepseek-chat', "$foreign,$say", "$foreign,$say" ]) {
    my ($model, $blocks, $sent) = @$_;
    $up->reset;
    $up->on('/*' => json('messages.response.json'));
    $r = $gw->http(POST => '/claude/messages', { 'x-api-key' => 'k', 'anthropic-version' => '2023-06-01' }, $spliced->($blocks) =~ s/claude-sonnet-5/$model/r);
    is($r->status, 200, "$model: spliced");
    ok(($up->received)[0]{body} eq $spliced->($sent) =~ s/claude-sonnet-5/$model/r, '... without what it refuses, else byte for byte');
}

# ---- answers --------------------------------------------------------------------

($r) = ask({ model => 'm', @hi });
my $a = from_json($r->body);
like($r->header('content-type'), qr{^application/json}, 'JSON');
is($a->{object}, 'chat.completion', 'a completion');
is($a->{id}, 'msg_fx01', 'the id of the provider');
cmp_ok(abs($a->{created} - time), '<', 60, 'created');
is($a->{model}, 'claude-sonnet-5', 'model');
is_deeply($a->{choices}, [ { index => 0, logprobs => undef, finish_reason => 'stop', message => { role => 'assistant', refusal => undef,
    content => 'Air scatters short blue wavelengths of sunlight more than long red ones.' } } ], 'choice');
is_deeply($a->{usage}, { prompt_tokens => 24, completion_tokens => 15, total_tokens => 39,
    prompt_tokens_details => { cached_tokens => 0 }, completion_tokens_details => { reasoning_tokens => 0 } }, 'usage');
my @f = logged($r);
is("$f[1]/$f[2]/$f[3]", '24/0/15', 'usage is counted');
is($f[6], '0.000297', 'and costs');

($r) = ask({ model => 'm', @hi }, json('messages.tools.response.json'));
$a = from_json($r->body);
is_deeply([ map { [ $_->{id}, $_->{type}, $_->{function}{name}, from_json($_->{function}{arguments}) ] } @{ $a->{choices}[0]{message}{tool_calls} } ],
    [ [ 'toolu_fxA9', 'function', 'stock_level', { sku => 'A-9', depot => 'north' } ], [ 'toolu_fxB2', 'function', 'stock_level', { sku => 'B-2' } ] ], 'calls');
is($a->{choices}[0]{finish_reason}, 'tool_calls', '... and their finish');
is($a->{choices}[0]{message}{content}, 'Let me look.', '... and the text beside them');

($r) = ask({ model => 'm', @hi }, json('messages.thinking.response.json'));
$a = from_json($r->body)->{choices}[0]{message};
is($a->{content}, '391', 'text');
is($a->{reasoning_content}, '17*20=340, 17*3=51, sum 391.', 'reasoning');
is_deeply($a->{thinking_blocks}, [ @{ file('anthropic/messages.thinking.response.json')->{content} }[0, 1] ], 'what has to go back');
is(from_json($r->body)->{usage}{completion_tokens_details}{reasoning_tokens}, 48, 'thinking is counted');

for ([ 'max-tokens', 'length' ], [ 'stop-sequence', 'stop' ], [ 'refusal', 'content_filter' ], [ 'json-schema', 'stop' ]) {
    ($r) = ask({ model => 'm', @hi }, json("messages.$_->[0].response.json"));
    is(from_json($r->body)->{choices}[0]{finish_reason}, $_->[1], "finish of $_->[0]");
}
($r) = ask({ model => 'm', @hi }, json('messages.cached.response.json'));
my $u = file('anthropic/messages.cached.response.json')->{usage};
is(from_json($r->body)->{usage}{prompt_tokens}, $u->{input_tokens} + $u->{cache_read_input_tokens} + $u->{cache_creation_input_tokens}, 'cached tokens are input');
is(from_json($r->body)->{usage}{prompt_tokens_details}{cached_tokens}, $u->{cache_read_input_tokens}, '... by number');

($r) = ask({ model => 'm', @hi }, [ [ json => '{"choices":[{"message":{"content":"x"}}]}' ] ]);
is($r->status, 502, 'an answer of OpenAI is a bad one here');
($r) = ask({ model => 'm', @hi }, [ [ 'http-file', fixture('hostile/not-json.http') ] ]);
is($r->status, 502, 'no JSON');

$up->reset;
$up->on('/*' => json('messages.json-schema.response.json'));
$r = $gw->post('/rate', '{"text":"The box was wet."}');
is_deeply(from_json($r->body), from_json(file('anthropic/messages.json-schema.response.json')->{content}[0]{text}), 'an application route');

# ---- errors ---------------------------------------------------------------------

for ([ '400', 400, 'caller_invalid_request' ], [ '400-prompt-too-long', 400, 'caller_context_length' ], [ '401', 502, 'provider_auth' ],
     [ '402', 502, 'provider_auth' ], [ '413', 413, 'caller_invalid_request' ], [ '429', 429, 'provider_rate_limited' ],
     [ '400-credit', 502, 'provider_auth' ], [ '429-ramp', 429, 'provider_rate_limited' ], [ '500', 502, 'provider_error' ], [ '529', 503, 'provider_overloaded' ])
{
    my ($name, $status, $code) = @$_;
    ($r) = ask({ model => 'm', @hi }, [ [ 'http-file', fixture("anthropic/error.$name.http") ] ]);
    is($r->status, $status, "error.$name: status");
    is($r->header('x-llm-error'), $code, '... code');
    my $e = from_json($r->body);
    ok(ref $e->{error} && length $e->{error}{message} && !exists $e->{type}, "... in the client's form");
}
is($r->header('retry-after') > 0, 1, 'Retry-After');

# the limits of long names: input tokens are used up for 37 s, so the second key is asked
$up->reset;
$up->on({ path => '/pool/*' } => [ [ 'http-file', fixture('anthropic/error.429.http') ] ], json('messages.response.json'));
$r = $gw->post('/again/chat/completions', to_json({ model => 'pooled', @hi }));
is($r->status, 200, 'a limited key: another one');
is(join(' ', map { $_->{h}{'x-api-key'} } $up->received), 'sk-ant-alpha-0001 sk-ant-beta-00001', '... the other one');

# ---- streams --------------------------------------------------------------------

sub stream {
    my ($script, %o) = @_;
    $up->reset;
    $up->on('/*' => $script);
    return $gw->post('/v1/chat/completions', to_json({ model => 'm', @hi, stream => $true, %o }));
}

# what a client puts together
sub together {
    my ($r) = @_;
    my %got = (text => '', reasoning => '', finish => '', calls => [], blocks => [], ids => {}, roles => 0);
    for my $e (grep { ref $_->{json} } Test::LLM::Sse::events($r)) {
        my $c = $e->{json};
        $got{error} = $c->{error} if $c->{error};
        $got{usage} = $c->{usage} if $c->{usage};
        $got{ids}{ $c->{id} // 'none' }++;
        for my $choice (@{ $c->{choices} // [] }) {
            my $d = $choice->{delta};
            $got{roles}++ if $d->{role};
            $got{text} .= $d->{content} // '';
            $got{reasoning} .= $d->{reasoning_content} // '';
            push @{ $got{blocks} }, @{ $d->{thinking_blocks} // [] };
            for my $t (@{ $d->{tool_calls} // [] }) {
                my $call = $got{calls}[ $t->{index} ] //= { arguments => '' };
                $call->{id} = $t->{id} if $t->{id};
                $call->{name} = $t->{function}{name} if $t->{function}{name};
                $call->{arguments} .= $t->{function}{arguments} // '';
            }
            $got{finish} .= $choice->{finish_reason} // '';
        }
    }
    $got{done} = Test::LLM::Sse::done(Test::LLM::Sse::events($r)) ? 1 : 0;
    $got{ids} = [ keys %{ $got{ids} } ];
    return \%got;
}

my $both = { include_usage => $true };
for my $slice ('1 0', '7 0', '200 1', '') {
    my $in = $slice ? " in pieces of $slice" : '';
    my $sse = sub { [ $slice ? [ slice => $slice ] : (), [ 'sse-file', fixture("anthropic/messages.stream$_[0].sse") ] ] };

    $r = stream($sse->(''), stream_options => $both);
    is_deeply(together($r), { text => 'One, two, three.', reasoning => '', finish => 'stop', calls => [], blocks => [], roles => 1, done => 1,
        ids => [ 'msg_fx01' ], usage => { prompt_tokens => 24, completion_tokens => 8, total_tokens => 32,
        prompt_tokens_details => { cached_tokens => 0 }, completion_tokens_details => { reasoning_tokens => 0 } } }, "text$in");
    ($q) = $up->received;
    is(from_json($q->{body})->{stream}, $true, '... asked for');
    ok(!exists from_json($q->{body})->{stream_options}, '... without options');

    my $t = together(stream($sse->('.tools')));
    is($t->{text}, 'Let me look.', "text beside tools$in");
    is_deeply([ map { [ $_->{id}, $_->{name}, from_json($_->{arguments}) ] } @{ $t->{calls} } ],
        [ [ 'toolu_fxA9', 'stock_level', { sku => 'A-9', depot => 'north' } ], [ 'toolu_fxB2', 'stock_level', { sku => 'B-2' } ] ], "tools$in");
    is("$t->{finish} $t->{done}", 'tool_calls 1', '... their end');
    ok(!$t->{usage}, '... usage only for who asks');

    $t = together(stream($sse->('.thinking')));
    is("$t->{reasoning}|$t->{text}", '17*20=340, 17*3=51.|391', "reasoning$in");
    is_deeply($t->{blocks}, [ { type => 'thinking', thinking => '', signature => 'c2lnLWZ4LTAwMQ==' }, { type => 'redacted_thinking', data => 'cmVkLWZ4' } ], '... signed');

    is(together(stream($sse->($_)))->{text}, 'Hi', "text of $_$in") for '.no-event-lines', '.unknown-event';
    $t = together(stream($sse->('.tool-no-args')));
    is("$t->{calls}[0]{name} $t->{finish}", 'list_depots tool_calls', "a call without arguments$in");
    $t = together(stream($sse->('.usage-in-delta'), stream_options => $both));
    is("$t->{usage}{prompt_tokens} $t->{usage}{prompt_tokens_details}{cached_tokens}", '2100 1900', "usage with a cache$in");
    $t = together(stream($sse->('.stop-sequence')));
    is("$t->{text} $t->{finish}", 'one stop', "a stop sequence$in");
    $t = together(stream($sse->('.with-done')));
    is($t->{done}, 1, "an extra [DONE]$in");
    is(scalar(grep { $_->{data} eq '[DONE]' } Test::LLM::Sse::events($r)), 1, '... is one');

    $r = stream($sse->('.error-first'));
    is($r->status, 502, "an error in front of everything$in");
    $t = together(stream([ @{ $sse->('.cut') }, 'fin' ]));
    is("$t->{text} $t->{done}", 'One 0', "a cut$in");
    ok($t->{error}, '... is an error');
}

$r = stream([ [ 'sse-file', fixture('anthropic/messages.stream.sse') ] ]);
@f = logged($r);
is("$f[1]/$f[3]", '24/8', 'usage of a stream');
$r = stream(event_script(map { /^data: (.*)/m ? $1 : () } (split /\n\n/, fixture_text('anthropic/messages.stream.sse'))[0 .. 8]));
is(together($r)->{done}, 1, 'message_stop is missing: the end is written');

my @midway = map { /^data: (.*)/m ? [ event => $1 ] : () } split /\n\n/, fixture_text('anthropic/messages.stream.error-midway.sse');
splice @midway, 3, 0, [ pause => 200 ];
my $t = together(stream([ @midway, 'fin' ]));
is("$t->{text} $t->{done}", 'One 0', 'an error in the middle');
is($t->{error}{message}, 'Overloaded', '... is told');
is($t->{error}{code}, 'server_is_overloaded', '... by its class');

# each event at once
my @slow = map { /^data: (.*)/m ? [ event => $1 ] : () } split /\n\n/, fixture_text('anthropic/messages.stream.sse');
splice @slow, 4, 0, [ pause => 300 ];
splice @slow, 6, 0, [ pause => 300 ];
$r = stream(\@slow);
my %at = map { ($_->{json}{choices}[0]{delta}{content} // '') => $_->{at} } grep { ref $_->{json} } Test::LLM::Sse::events($r);
cmp_ok($at{', two'} - $at{One}, '>', 0.15, 'the first event did not wait for the second');

# a whole answer to a request for a stream
($r) = ask({ model => 'm', @hi, stream => $true });
is(from_json($r->body)->{object}, 'chat.completion', 'one answer where events were asked for');

# ---- large ----------------------------------------------------------------------

my $long = join ' ', map { "word $_ \"quoted\"\n" } 1 .. 60_000;
($r, $q, $out) = ask({ model => 'm', messages => [ { role => 'user', content => $long } ] });
is($r->status, 200, 'a long request');
is(length $out->{messages}[0]{content}[0]{text}, length $long, '... is sent whole');
my $text = to_json($long);
($r) = ask({ model => 'm', @hi }, [ [ json => '{"type":"message","id":"msg_1","model":"c","content":[{"type":"text","text":' . $text
    . '},{"type":"text","text":"!"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}' ] ]);
is(from_json($r->body)->{choices}[0]{message}{content}, "$long!", 'a long answer');
my $one = substr to_json($long), 0, 20_000;
$one =~ s/\\?[^\\]*\z//;
$r = stream(event_script('{"type":"message_start","message":{"id":"m","model":"c"}}', '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
    (map { '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":' . "$one\"}}" } 1 .. 4),
    '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}', '{"type":"message_stop"}'));
is(together($r)->{text}, from_json("$one\"") x 4, 'large events');

finish();
